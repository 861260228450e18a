// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Folder.h"
#include "runtime/io/File.h"
#include "test/unit/runtime/TestSupport.h"

using namespace weir;
using weir::test::TempFolder;

namespace {

using Names = std::vector<std::string>;

Names namesIn(const std::string &path) {
  auto names = listDirectory(path);
  EXPECT_OK(names);
  return names.ok() ? *names : Names();
}

TEST(AtomicFolder, AppearsWholeAtCommit) {
  TempFolder root;
  std::string path = root.path("a/b/model");
  {
    auto folder = AtomicFolder::create(path);
    ASSERT_OK(folder);
    ASSERT_OK(writeFile(folder->path() + "/config.json", "{}"));
    EXPECT_FALSE(fileExists(path));
    ASSERT_OK(folder->commit());
  }
  EXPECT_EQ(namesIn(path), Names{"config.json"});
  EXPECT_EQ(namesIn(root.path("a/b")), Names{"model"});
}

TEST(AtomicFolder, WithoutCommitTheOldOneStaysAndNothingIsLeft) {
  TempFolder root;
  std::string path = root.path("model");
  ASSERT_OK(makeDirectories(path));
  root.write("model/config.json", "old");
  {
    auto folder = AtomicFolder::create(path);
    ASSERT_OK(folder);
    ASSERT_OK(writeFile(folder->path() + "/config.json", "new"));
  }
  EXPECT_EQ(test::slurp(path + "/config.json"), "old");
  EXPECT_EQ(namesIn(root.path()), Names{"model"});
}

TEST(AtomicFolder, ReplacesAndCarriesOverWhatItLacks) {
  TempFolder root;
  std::string path = root.path("model");
  ASSERT_OK(makeDirectories(path + "/notes"));
  root.write("model/config.json", "old");
  root.write("model/tokenizer.json", "mine");
  root.write("model/notes/a", "kept");
  auto folder = AtomicFolder::create(path);
  ASSERT_OK(folder);
  ASSERT_OK(writeFile(folder->path() + "/config.json", "new"));
  ASSERT_OK(folder->commit());
  EXPECT_EQ(namesIn(path), (Names{"config.json", "notes", "tokenizer.json"}));
  EXPECT_EQ(test::slurp(path + "/config.json"), "new");
  EXPECT_EQ(test::slurp(path + "/tokenizer.json"), "mine");
  EXPECT_EQ(test::slurp(path + "/notes/a"), "kept");
  EXPECT_EQ(namesIn(root.path()), Names{"model"});
}

TEST(AtomicFolder, RefusesAFileInItsPlace) {
  TempFolder root;
  root.write("file", "x");
  EXPECT_FAILS(AtomicFolder::create(root.path("file")), StatusCode::OutputError,
               "is a file");
  EXPECT_FAILS(AtomicFolder::create(root.path("file/below")),
               StatusCode::OutputError, "file");
}

} // namespace
