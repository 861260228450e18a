// SPDX-License-Identifier: Apache-2.0
// Reshards through the whole stack: a program whose ops want their operand in
// ever other layouts, compiled for a mesh and for one device, gives the same
// bits (every op works on single elements).
#include "test/unit/runtime/TestSupport.h"

#include "runtime/io/Safetensors.h"
#include "gtest/gtest.h"

#include <cstdlib>

namespace weir::e2e {
namespace {

using test::slurp;
using test::TempFolder;

class Reshards : public testing::Test {
protected:
  int tool(const std::string &program, const std::string &arguments) {
    return std::system(("cd '" + folder.path() + "' && '" + program + "' " +
                        arguments + " > out 2> err")
                           .c_str());
  }

  /// The output of exp, tanh, exp, ... of the input in these layouts, as the
  /// safetensors file's bytes.
  std::string outputOf(const std::string &mesh,
                       const std::vector<std::string> &layouts,
                       const std::string &whole, const std::string &name) {
    std::string type = "tensor<31x45xf32>";
    std::string text = "module attributes {dist.mesh = #dist.mesh<" + mesh +
                       ">} {\n  graph.entry @main(%v0: " + type +
                       " {graph.input = \"x\", dist.layout = #dist.layout<" +
                       whole + ">}) -> (" + type +
                       " {graph.output = \"y\", dist.layout = #dist.layout<" +
                       whole + ">}) {\n";
    for (size_t i = 0; i < layouts.size(); ++i)
      text += "    %v" + std::to_string(i + 1) +
              (i % 2 ? " = graph.tanh %v" : " = graph.exp %v") +
              std::to_string(i) + " {dist.signature = #dist.signature<(" +
              layouts[i] + ") -> (" + layouts[i] + ")>} : " + type + "\n";
    text += "    graph.return %v" + std::to_string(layouts.size()) + " : " +
            type + "\n  }\n}\n";
    folder.write(name + ".mlir", text);
    EXPECT_EQ(tool(WEIR_COMPILE, name + ".mlir --start-at=shard -o " + name +
                                     ".weir --report=" + name + ".json"),
              0)
        << slurp(folder.path("err"));
    EXPECT_EQ(tool(WEIR_RUN, name +
                                 ".weir --entry=main --checked --inputs=x."
                                 "safetensors --output=" +
                                 name + ".safetensors"),
              0)
        << slurp(folder.path("err"));
    return slurp(folder.path(name + ".safetensors"));
  }

  void SetUp() override {
    std::vector<float> values(31 * 45);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>((i * 37 + 11) % 101) / 40 - 1;
    auto writer = SafetensorsWriter::create(folder.path("x.safetensors"),
                                            {{"x", StoredType::F32, {31, 45}}});
    ASSERT_OK(writer);
    ASSERT_OK(writer->write("x", values.data(), values.size() * 4));
    ASSERT_OK(writer->finish());
  }

  TempFolder folder;
};

// Uneven blocks on a mesh of 2 x 3 that change places in every way, exchanges
// among them.
TEST_F(Reshards, GiveTheSameBitsAsOneDevice) {
  std::vector<std::string> layouts = {
      "[S(0), B]",    "[B, S(0)]",         "[S(0), S(1)]", "[S(1), S(0)]",
      "[S(1), S(1)]", "[S(0), S(0)]",      "[S(0), B]",    "[S(1), S(0)]",
      "[B, S(1)]",    "[S(1), B]",         "[S(0), S(1)]", "[B, B]",
      "[S(0), S(0)]", "[B, S(1, unit=5)]", "[B, S(1)]"};
  std::string many = outputOf("x=2, y=3", layouts, "[B, B]", "many");
  std::string report = slurp(folder.path("many.json"));
  EXPECT_NE(report.find("\"op\": \"exchange\""), std::string::npos);
  EXPECT_NE(report.find("\"op\": \"all_to_all\""), std::string::npos);
  EXPECT_NE(report.find("\"op\": \"all_gather\""), std::string::npos);
  std::vector<std::string> one(layouts.size(), "[B]");
  std::string single = outputOf("x=1", one, "[B]", "single");
  ASSERT_GT(single.size(), size_t(31 * 45 * 4));
  EXPECT_TRUE(many == single);
}

} // namespace
} // namespace weir::e2e
