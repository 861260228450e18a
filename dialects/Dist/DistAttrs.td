// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_DIST_DISTATTRS
#define WEIR_DIALECTS_DIST_DISTATTRS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/TensorEncoding.td"

def Dist_Dialect : Dialect {
  let name = "dist";
  let cppNamespace = "::weir::dist";
  let summary = "Tensors distributed over a mesh of ranks";
  let description = [{
    Layouts in the split / broadcast / partial (SBP) algebra on a named mesh,
    the reshards between them, and the collectives that carry them out. A
    layout has one entry for each mesh axis: `S(i)` splits dimension `i`, `B`
    holds the same value on every coordinate, `P(sum)` holds terms whose
    reduction is the value. `P(max)` and `P(min)` reduce likewise.

    Unevenly divisible dimensions are legal everywhere: of `n` elements over
    `k` coordinates the first `n mod k` coordinates hold one more. All ranks
    run one program whose shapes are the largest shard's (the capacity); what
    a rank really holds (the extent) is a run-time scalar.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
  let extraClassDeclaration = [{
    /// Module attribute that holds the `#dist.mesh`.
    static constexpr llvm::StringLiteral getMeshAttrName() { return "dist.mesh"; }
    /// Op attribute that holds the decided `#dist.signature`.
    static constexpr llvm::StringLiteral getSignatureAttrName() {
      return "dist.signature";
    }
    /// Variable, entry argument and entry result attribute: `#dist.layout`.
    static constexpr llvm::StringLiteral getLayoutAttrName() { return "dist.layout"; }
    /// Op attribute that names, by mesh axis, the split program that the op's
    /// signature on that axis needs: `{tp = "split_classes"}`.
    static constexpr llvm::StringLiteral getProgramsAttrName() {
      return "dist.programs";
    }
    /// Module attribute: the text of a cluster file, by which costs are judged.
    static constexpr llvm::StringLiteral getClusterAttrName() { return "dist.cluster"; }
    void registerAttributes();
  }];
}

class Dist_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<Dist_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def Dist_ReductionSum : I32EnumAttrCase<"Sum", 0, "sum">;
def Dist_ReductionMax : I32EnumAttrCase<"Max", 1, "max">;
def Dist_ReductionMin : I32EnumAttrCase<"Min", 2, "min">;
def Dist_Reduction : I32EnumAttr<"Reduction", "how partial values combine",
    [Dist_ReductionSum, Dist_ReductionMax, Dist_ReductionMin]> {
  let cppNamespace = "::weir::dist";
  let genSpecializedAttr = 0;
}
def Dist_ReductionAttr : EnumAttr<Dist_Dialect, Dist_Reduction, "reduction">;

def Dist_MeshAttr : Dist_Attr<"Mesh", "mesh"> {
  let summary = "Named axes of ranks, outermost first.";
  let description = [{
    Ranks are numbered row-major over the space axes. An axis marked `time` is
    the micro-batch axis: its coordinates are run one after the other by every
    rank. It is the last axis.

    Example: `#dist.mesh<dp=2, tp=2, mb=3 : time>`

    Constraints:
    - axis names are unique and not empty, sizes are positive
    - at most one axis is `time`, and it is the last
  }];
  let parameters = (ins
    ArrayRefParameter<"::mlir::StringAttr", "axis names">:$names,
    ArrayRefParameter<"int64_t", "axis sizes">:$sizes,
    "bool":$lastIsTime
  );
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    unsigned getNumAxes() const { return getSizes().size(); }
    /// Number of ranks: the product of the space axes.
    int64_t getNumRanks() const;
    bool isTime(unsigned axis) const {
      return getLastIsTime() && axis + 1 == getNumAxes();
    }
    /// Index of the time axis, or -1.
    int getTimeAxis() const { return getLastIsTime() ? int(getNumAxes()) - 1 : -1; }
    /// Index of the axis of that name, or -1.
    int findAxis(::llvm::StringRef name) const;
  }];
}

def Dist_LayoutAttr : Dist_Attr<"Layout", "layout",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "One of `S(i)`, `B`, `P(sum|max|min)` for each mesh axis.";
  let description = [{
    Splits of one dimension by several axes nest in mesh order.
    `S(i, unit=n)` hands out runs of `n` elements whole: of a flat dimension of
    heads times head size, whole heads.

    Example: `#dist.layout<[S(0), B, P(sum)]>`; also an encoding of a logical
    tensor type between materialising reshards and localising.

    Constraints:
    - as an encoding, splits name existing dimensions
    - a unit is positive and divides its dimension; splits of one dimension
      have one unit
  }];
  let parameters = (ins ArrayRefParameter<"::weir::dist::AxisLayout">:$axes);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    static LayoutAttr getBroadcast(::mlir::MLIRContext *context, unsigned numAxes);
    bool isBroadcast() const;
    bool hasPartial() const;
    /// The same layout with one axis replaced.
    LayoutAttr withAxis(unsigned axis, AxisLayout entry) const;
    /// Mesh axes that split tensor dimension `dim`, outermost first.
    ::llvm::SmallVector<int64_t> axesOfDim(int64_t dim) const;
  }];
}

def Dist_SignatureAttr : Dist_Attr<"Signature", "signature"> {
  let summary = "The layouts of every operand use and every result of an op.";
  let description = [{
    Example: `#dist.signature<([S(0), B], [B, S(1)]) -> ([S(0), S(1)])>`
  }];
  let parameters = (ins
    ArrayRefParameter<"::weir::dist::LayoutAttr">:$operands,
    ArrayRefParameter<"::weir::dist::LayoutAttr">:$results
  );
  let hasCustomAssemblyFormat = 1;
}

def Dist_ShardAttr : Dist_Attr<"Shard", "shard",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "Encoding of a local tensor type: what it is a shard of.";
  let description = [{
    After localisation the tensor type's shape is the capacity of the largest
    shard. The encoding keeps, for every dimension, its logical size and the
    mesh axes that split it (outermost first); extents and offsets follow from
    these and a rank's coordinates.

    Example: `tensor<13x64xf32, #dist.shard<[25:1, 64]>>` is a 25x64 tensor
    whose rows are split by mesh axis 1; `12:0:2` is split by axes 0, then 2;
    `48:1 unit 8` keeps runs of 8 whole; `12:1 shift 1` is the shard of the next
    coordinate (after the last comes the first), what a ring holds after a step.

    Constraints:
    - as many dimensions as the tensor has, sizes are not negative
    - no mesh axis splits twice
    - a unit divides its dimension, and is 1 where nothing splits it
    - a shift is not negative, and 0 where nothing splits the dimension
    - a dimension that is not split has its logical size; the capacity of a
      split one is at most that
  }];
  let parameters = (ins ArrayRefParameter<"::weir::dist::ShardDim">:$dims);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Whether no dimension is split.
    bool isWhole() const;
  }];
}

#endif // WEIR_DIALECTS_DIST_DISTATTRS
