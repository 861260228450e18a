// SPDX-License-Identifier: Apache-2.0
// The pages under docs/ as tests. A comment in front of a fenced block says
// what is to be done with it:
//
//   <!-- test: run -->              runs the block with `bash -eu`
//   <!-- test: run; weir train --set steps=30 -->
//                                   also appends the flags to each `weir train`
//   <!-- test: part of PATH -->     the block is code of that file; a line
//   `...`
//                                   in it stands for anything
//   <!-- test: loss falls in PATH -->  (without a block) metrics that a run
//   wrote
//
// The blocks of a page run one after the other in a folder that looks like the
// repository: `build` is the build folder, `docs` a copy.
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"
#include "test/unit/runtime/TestSupport.h"

#include <sys/wait.h>

namespace weir::test {
namespace {

namespace fs = std::filesystem;

const std::string sourceDir = WEIR_SOURCE_DIR;

struct Block {
  std::string what;     // what stands behind "test: "
  std::string language; // "sh"; empty where there is no block
  std::string text;
  size_t line = 0;
};

/// The marked blocks of a page, in order.
std::vector<Block> readBlocks(const std::string &page) {
  std::vector<Block> blocks;
  std::vector<std::string> lines = split(slurp(page), '\n');
  const std::string open = "<!-- test: ", close = " -->";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!startsWith(lines[i], open) || !endsWith(lines[i], close))
      continue;
    Block block;
    block.line = i + 1;
    block.what = lines[i].substr(open.size(),
                                 lines[i].size() - open.size() - close.size());
    if (i + 1 < lines.size() && startsWith(lines[i + 1], "```")) {
      block.language = lines[i + 1].substr(3);
      for (i += 2; i < lines.size() && lines[i] != "```"; ++i)
        block.text += lines[i] + "\n";
    }
    blocks.push_back(std::move(block));
  }
  return blocks;
}

std::string withoutBlanks(const std::string &text) {
  std::string result;
  for (char c : text)
    if (!std::isspace(static_cast<unsigned char>(c)))
      result += c;
  return result;
}

/// Expects the block's parts, between lines `...`, in the file in that order.
/// Blanks and line ends do not count.
void expectPart(const Block &block, const std::string &path) {
  std::string file = withoutBlanks(slurp(sourceDir + "/" + path));
  ASSERT_FALSE(file.empty()) << path;
  size_t place = 0;
  std::string part;
  std::vector<std::string> lines = split(block.text, '\n');
  lines.push_back("...");
  for (const std::string &line : lines) {
    if (trim(line) != "...") {
      part += line + "\n";
      continue;
    }
    std::string wanted = withoutBlanks(part);
    size_t found = file.find(wanted, place);
    EXPECT_NE(found, std::string::npos) << path << " does not hold\n" << part;
    if (found != std::string::npos)
      place = found + wanted.size();
    part.clear();
  }
}

/// Mean of the losses of five lines.
double meanLoss(const std::vector<std::string> &lines, size_t first) {
  double sum = 0;
  for (size_t i = first; i < first + 5; ++i) {
    StatusOr<JsonView> line = parseJson(lines[i], "metrics.jsonl");
    EXPECT_OK(line);
    StatusOr<double> loss = line->number("loss");
    EXPECT_OK(loss);
    sum += *loss;
  }
  return sum / 5;
}

/// Expects at least ten steps whose last five lose a tenth less than the first.
void expectFallingLoss(const std::string &path) {
  std::vector<std::string> lines = split(slurp(path), '\n');
  while (!lines.empty() && lines.back().empty())
    lines.pop_back();
  ASSERT_GE(lines.size(), 10u) << path;
  double first = meanLoss(lines, 0), last = meanLoss(lines, lines.size() - 5);
  EXPECT_LT(last, 0.9 * first) << path;
}

/// `flags` behind each command that starts with `command`.
std::string withFlags(const std::string &text, const std::string &command,
                      const std::string &flags) {
  std::string result;
  for (std::string &line : split(text, '\n'))
    result += line.find(command) != std::string::npos
                  ? line + " " + flags + "\n"
                  : line + "\n";
  return result;
}

class Page : public ::testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    fs::create_directory(folder.path("docs"));
    fs::copy(sourceDir + "/docs/examples", folder.path("docs/examples"),
             fs::copy_options::recursive);
    // A run in the source tree may have left something.
    for (const char *left : {"runs", "shift-mlp.mlir", "text.txt"})
      fs::remove_all(
          folder.path("docs/examples/build-a-model/" + std::string(left)));
    fs::create_directory_symlink(WEIR_BUILD_DIR, folder.path("build"));
  }

  void run(const std::string &script) {
    folder.write("script.sh", "set -euo pipefail\n" + script);
    std::string command = "cd '" + folder.path() + "' && WEIR_CACHE='" +
                          folder.path("cache") +
                          "' bash script.sh > log 2>&1 < /dev/null";
    int status = std::system(command.c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
        << "status " << status << "\n$ " << script << slurp(folder.path("log"));
  }

  TempFolder folder;
};

TEST_P(Page, ShowsWhatIsSo) {
  std::string page = sourceDir + "/docs/" + GetParam();
  std::vector<Block> blocks = readBlocks(page);
  ASSERT_FALSE(blocks.empty()) << page;
  for (const Block &block : blocks) {
    SCOPED_TRACE(page + ":" + std::to_string(block.line));
    const std::string partOf = "part of ", falls = "loss falls in ",
                      flags = "run; weir train ";
    if (startsWith(block.what, partOf)) {
      expectPart(block, block.what.substr(partOf.size()));
    } else if (startsWith(block.what, falls)) {
      expectFallingLoss(folder.path(block.what.substr(falls.size())));
    } else if (block.what == "run") {
      ASSERT_EQ(block.language, "sh");
      run(block.text);
    } else if (startsWith(block.what, flags)) {
      ASSERT_EQ(block.language, "sh");
      run(withFlags(block.text, "weir train ",
                    block.what.substr(flags.size())));
    } else {
      ADD_FAILURE() << "unknown: test: " << block.what;
    }
    if (HasFailure())
      return;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Docs, Page,
    ::testing::Values("getting-started.md", "build-a-model.md", "embed.md",
                      "parallelism.md"),
    [](const ::testing::TestParamInfo<const char *> &info) {
      std::string name;
      for (char c : std::string(info.param))
        name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
      return name;
    });

/// Relative links of all pages: their files exist.
TEST(Links, LeadSomewhere) {
  std::vector<std::string> pages;
  for (const char *page : {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"})
    pages.push_back(sourceDir + "/" + page);
  for (const fs::directory_entry &entry :
       fs::recursive_directory_iterator(sourceDir + "/docs"))
    if (entry.path().extension() == ".md")
      pages.push_back(entry.path().string());
  size_t links = 0;
  for (const std::string &page : pages) {
    std::string text = slurp(page);
    for (size_t at = text.find("]("); at != std::string::npos;
         at = text.find("](", at + 2)) {
      size_t end = text.find(')', at);
      ASSERT_NE(end, std::string::npos) << page;
      std::string target = text.substr(at + 2, end - at - 2);
      target = target.substr(0, target.find('#'));
      // Links into the page itself, to other sites, and what is no link.
      if (target.empty() || target.find("://") != std::string::npos ||
          target.find_first_of(" \n\"'<>") != std::string::npos)
        continue;
      ++links;
      EXPECT_TRUE(fs::exists(fs::path(page).parent_path() / target))
          << page << " links to " << target;
    }
  }
  EXPECT_GT(links, 20u);
}

} // namespace
} // namespace weir::test
