// SPDX-License-Identifier: Apache-2.0
#include "dialects/Pipe/Pipe.h"

#include "mlir/Interfaces/CallInterfaces.h"
#include "mlir/Interfaces/FunctionImplementation.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace weir::pipe;

namespace {

constexpr llvm::StringLiteral variableAttr = "graph.variable";
constexpr llvm::StringLiteral inputAttr = "graph.input";
constexpr llvm::StringLiteral outputAttr = "graph.output";

char letterOf(TaskKind kind) {
  switch (kind) {
  case TaskKind::Forward:
    return 'F';
  case TaskKind::Backward:
    return 'B';
  case TaskKind::Update:
    return 'U';
  }
  return '?';
}

llvm::StringRef symbolIn(Attribute attr) {
  auto symbol = llvm::dyn_cast_or_null<FlatSymbolRefAttr>(attr);
  return symbol ? symbol.getValue() : llvm::StringRef();
}

llvm::StringRef stringIn(Attribute attr) {
  auto text = llvm::dyn_cast_or_null<StringAttr>(attr);
  return text ? text.getValue() : llvm::StringRef();
}

} // namespace

std::optional<llvm::SmallVector<weir::pipe::ScheduledTask>>
weir::pipe::parseSchedule(llvm::StringRef text) {
  llvm::SmallVector<ScheduledTask> schedule;
  llvm::SmallVector<llvm::StringRef> words;
  llvm::SplitString(text, words, " ");
  for (llvm::StringRef word : words) {
    ScheduledTask task;
    switch (word.front()) {
    case 'F':
      task.kind = TaskKind::Forward;
      break;
    case 'B':
      task.kind = TaskKind::Backward;
      break;
    case 'U':
      task.kind = TaskKind::Update;
      break;
    default:
      return std::nullopt;
    }
    word = word.drop_front();
    if (task.kind == TaskKind::Update) {
      if (!word.empty())
        return std::nullopt;
    } else if (word.getAsInteger(10, task.microBatch) || task.microBatch < 0) {
      return std::nullopt;
    }
    schedule.push_back(task);
  }
  return schedule;
}

std::string weir::pipe::formatSchedule(llvm::ArrayRef<ScheduledTask> schedule) {
  std::string text;
  for (const ScheduledTask &task : schedule) {
    if (!text.empty())
      text += ' ';
    text += letterOf(task.kind);
    if (task.microBatch >= 0)
      text += std::to_string(task.microBatch);
  }
  return text;
}

//===----------------------------------------------------------------------===//
// ProgramOp
//===----------------------------------------------------------------------===//

llvm::StringRef ProgramOp::getArgumentVariable(unsigned index) {
  return symbolIn(getArgAttr(index, variableAttr));
}
llvm::StringRef ProgramOp::getArgumentInput(unsigned index) {
  return stringIn(getArgAttr(index, inputAttr));
}
llvm::StringRef ProgramOp::getResultVariable(unsigned index) {
  return symbolIn(getResultAttr(index, variableAttr));
}
llvm::StringRef ProgramOp::getResultOutput(unsigned index) {
  return stringIn(getResultAttr(index, outputAttr));
}

ParseResult ProgramOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr name;
  int64_t role;
  std::string entry, schedule;
  if (parser.parseSymbolName(name, getSymNameAttrName(result.name),
                             result.attributes) ||
      parser.parseKeyword("role") || parser.parseInteger(role) ||
      parser.parseKeyword("entry") || parser.parseString(&entry) ||
      parser.parseKeyword("tasks"))
    return failure();
  Builder &builder = parser.getBuilder();
  llvm::SmallVector<Attribute> tasks;
  auto parseTask = [&]() -> ParseResult {
    llvm::StringRef word;
    llvm::SMLoc location = parser.getCurrentLocation();
    if (parser.parseKeyword(&word))
      return failure();
    std::optional<TaskKind> kind = symbolizeTaskKind(word);
    if (!kind)
      return parser.emitError(location)
             << "expects forward, backward or update, got '" << word << "'";
    tasks.push_back(TaskKindAttr::get(builder.getContext(), *kind));
    return success();
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Square,
                                     parseTask) ||
      parser.parseKeyword("schedule") || parser.parseString(&schedule))
    return failure();
  result.addAttribute(getRoleAttrName(result.name),
                      builder.getI64IntegerAttr(role));
  result.addAttribute(getEntryAttrName(result.name),
                      builder.getStringAttr(entry));
  result.addAttribute(getTasksAttrName(result.name),
                      builder.getArrayAttr(tasks));
  result.addAttribute(getScheduleAttrName(result.name),
                      builder.getStringAttr(schedule));

  llvm::SmallVector<OpAsmParser::Argument> arguments;
  llvm::SmallVector<Type> resultTypes, argumentTypes;
  llvm::SmallVector<DictionaryAttr> resultAttrs;
  bool variadic = false;
  if (function_interface_impl::parseFunctionSignatureWithArguments(
          parser, /*allowVariadic=*/false, arguments, variadic, resultTypes,
          resultAttrs))
    return failure();
  for (const OpAsmParser::Argument &argument : arguments)
    argumentTypes.push_back(argument.type);
  result.addAttribute(
      getFunctionTypeAttrName(result.name),
      TypeAttr::get(builder.getFunctionType(argumentTypes, resultTypes)));
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  call_interface_impl::addArgAndResultAttrs(
      builder, result, arguments, resultAttrs, getArgAttrsAttrName(result.name),
      getResAttrsAttrName(result.name));
  return parser.parseRegion(*result.addRegion(), arguments);
}

void ProgramOp::print(OpAsmPrinter &printer) {
  printer << ' ';
  printer.printSymbolName(getSymName());
  printer << " role " << getRole() << " entry ";
  printer.printString(getEntry());
  printer << " tasks [";
  llvm::interleaveComma(getTasks().getAsRange<TaskKindAttr>(), printer,
                        [&](TaskKindAttr task) {
                          printer << stringifyTaskKind(task.getValue());
                        });
  printer << "] schedule ";
  printer.printString(getSchedule());
  printer << ' ';
  function_interface_impl::printFunctionSignature(
      printer, *this, getArgumentTypes(), /*isVariadic=*/false,
      getResultTypes());
  printer.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(),
      {getSymNameAttrName(), getFunctionTypeAttrName(), getEntryAttrName(),
       getRoleAttrName(), getTasksAttrName(), getScheduleAttrName(),
       getArgAttrsAttrName(), getResAttrsAttrName()});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false,
                      /*printBlockTerminators=*/true);
}

LogicalResult ProgramOp::verify() {
  if (getRole() < 0)
    return emitOpError("expects a role of at least 0, got ") << getRole();
  llvm::StringSet<> variables;
  for (unsigned i = 0, e = getNumArguments(); i < e; ++i) {
    llvm::StringRef variable = getArgumentVariable(i);
    if (variable.empty() == getArgumentInput(i).empty())
      return emitOpError("expects argument ")
             << i << " to be bound to a variable or to an input, one of them";
    if (!variable.empty() && !variables.insert(variable).second)
      return emitOpError("expects variable '")
             << variable << "' to be bound to one argument";
  }
  llvm::StringSet<> updated;
  for (unsigned i = 0, e = getNumResults(); i < e; ++i) {
    llvm::StringRef variable = getResultVariable(i);
    if (variable.empty() == getResultOutput(i).empty())
      return emitOpError("expects result ")
             << i << " to update a variable or to be an output, one of them";
    if (variable.empty())
      continue;
    if (!variables.contains(variable))
      return emitOpError("expects updated variable '")
             << variable << "' to be an argument";
    if (!updated.insert(variable).second)
      return emitOpError("expects variable '")
             << variable << "' to be updated once";
  }

  std::optional<llvm::SmallVector<ScheduledTask>> schedule =
      parseSchedule(getSchedule());
  if (!schedule)
    return emitOpError("expects a schedule like \"F0 B0 U\", got \"")
           << getSchedule() << "\"";
  llvm::SmallVector<TaskKind> kinds;
  for (TaskKindAttr task : getTasks().getAsRange<TaskKindAttr>()) {
    if (llvm::is_contained(kinds, task.getValue()))
      return emitOpError("expects task '")
             << stringifyTaskKind(task.getValue()) << "' to be listed once";
    kinds.push_back(task.getValue());
  }
  int64_t numForward = 0, numBackward = 0, numUpdates = 0;
  for (const ScheduledTask &task : *schedule) {
    if (!llvm::is_contained(kinds, task.kind))
      return emitOpError("expects the schedule to name listed tasks, got '")
             << stringifyTaskKind(task.kind) << "'";
    if (numUpdates)
      return emitOpError("expects the update to come last in the schedule");
    // Micro-batches of a role are done in order.
    if (task.kind == TaskKind::Forward && task.microBatch != numForward++)
      return emitOpError("expects forward of micro-batch ")
             << numForward - 1 << ", got " << task.microBatch;
    if (task.kind == TaskKind::Backward) {
      if (task.microBatch != numBackward++)
        return emitOpError("expects backward of micro-batch ")
               << numBackward - 1 << ", got " << task.microBatch;
      if (task.microBatch >= numForward &&
          llvm::is_contained(kinds, TaskKind::Forward))
        return emitOpError("expects backward of micro-batch ")
               << task.microBatch << " after its forward";
    }
    numUpdates += task.kind == TaskKind::Update;
  }
  for (TaskKind kind : kinds) {
    int64_t count = kind == TaskKind::Forward    ? numForward
                    : kind == TaskKind::Backward ? numBackward
                                                 : numUpdates;
    if (count == 0)
      return emitOpError("expects task '")
             << stringifyTaskKind(kind) << "' in the schedule";
  }
  if (numForward && numBackward && numForward != numBackward)
    return emitOpError("expects as many backward as forward tasks, got ")
           << numBackward << " and " << numForward;
  return success();
}

//===----------------------------------------------------------------------===//
// ReturnOp
//===----------------------------------------------------------------------===//

LogicalResult ReturnOp::verify() {
  auto program = (*this)->getParentOfType<ProgramOp>();
  if (llvm::ArrayRef<Type>(program.getResultTypes()) !=
      llvm::ArrayRef<Type>(llvm::to_vector(getValues().getTypes())))
    return emitOpError("expects the program's result types (")
           << program.getResultTypes() << "), got (" << getValues().getTypes()
           << ")";
  return success();
}

#define GET_OP_CLASSES
#include "dialects/Pipe/PipeOps.cpp.inc"
