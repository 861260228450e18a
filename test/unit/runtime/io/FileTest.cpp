// SPDX-License-Identifier: Apache-2.0
#include "runtime/io/File.h"
#include "test/unit/runtime/TestSupport.h"

#include <sys/stat.h>

namespace weir {
namespace {

using test::slurp;
using test::TempFolder;

TEST(File, ReadsAndMaps) {
  TempFolder folder;
  std::string content(100000, 'x');
  content[5] = '\0';
  std::string path = folder.write("a", content);
  EXPECT_EQ(*readFile(path), content);
  StatusOr<MappedFile> mapped = MappedFile::open(path);
  ASSERT_OK(mapped);
  EXPECT_EQ(mapped->view(), content);
  MappedFile moved = *std::move(mapped);
  EXPECT_EQ(moved.view(), content);

  std::string empty = folder.write("empty", "");
  EXPECT_EQ(*readFile(empty), "");
  EXPECT_EQ(MappedFile::open(empty)->size(), 0u);
}

TEST(File, ErrorsNameThePath) {
  TempFolder folder;
  EXPECT_FAILS(readFile(folder.path("none")), StatusCode::InvalidInput,
               folder.path("none") + ": cannot open: No such file");
  EXPECT_FAILS(MappedFile::open(folder.path("none")), StatusCode::InvalidInput,
               "cannot open");
  EXPECT_FAILS(readFile(folder.path()), StatusCode::InvalidInput,
               "expects a file, got a folder");
  EXPECT_FAILS(writeFile(folder.path("no/such/file"), "x"),
               StatusCode::OutputError, folder.path("no/such/file"));
  EXPECT_FAILS(listDirectory(folder.path("none")), StatusCode::InvalidInput,
               "cannot list the folder");
  std::string file = folder.write("file", "x");
  EXPECT_FAILS(makeDirectories(file + "/sub"), StatusCode::OutputError, file);
  EXPECT_FAILS(makeDirectories(file), StatusCode::OutputError,
               "Not a directory");
}

TEST(File, WritesAtomically) {
  TempFolder folder;
  std::string path = folder.write("a", "old");
  {
    StatusOr<AtomicFile> file = AtomicFile::create(path);
    ASSERT_OK(file);
    ASSERT_OK(file->write("new"));
    EXPECT_EQ(slurp(path), "old");
  }
  // Without commit nothing has changed and nothing is left.
  EXPECT_EQ(slurp(path), "old");
  EXPECT_EQ(listDirectory(folder.path())->size(), 1u);

  ASSERT_OK(writeFile(path, "newer"));
  EXPECT_EQ(slurp(path), "newer");
  StatusOr<AtomicFile> file = AtomicFile::create(path);
  ASSERT_OK(file->write("0123456789"));
  ASSERT_OK(file->writeAt(2, "xy", 2));
  EXPECT_EQ(file->position(), 10u);
  ASSERT_OK(file->commit());
  EXPECT_EQ(slurp(path), "01xy456789");
  EXPECT_EQ(listDirectory(folder.path())->size(), 1u);
}

TEST(AtomicFile, WritesDevicesInPlace) {
  EXPECT_OK(writeFile("/dev/null", "gone"));
  struct stat info;
  ASSERT_EQ(::stat("/dev/null", &info), 0);
  EXPECT_TRUE(S_ISCHR(info.st_mode));
  Status full = writeFile("/dev/full", "does not fit");
  EXPECT_EQ(full.code(), StatusCode::OutputError);
  EXPECT_NE(full.message().find("/dev/full: cannot write"), std::string::npos)
      << full.message();
  StatusOr<AtomicFile> file = AtomicFile::create("/dev/null");
  ASSERT_OK(file);
  EXPECT_OK(file->write("0123"));
  EXPECT_FALSE(file->writeAt(1, "x", 1).ok());
}

TEST(AtomicFile, ReplacesTheFileBehindALink) {
  TempFolder folder;
  folder.write("real", "old");
  std::filesystem::create_symlink("real", folder.path("link"));
  ASSERT_OK(writeFile(folder.path("link"), "new"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder.path("link")));
  EXPECT_EQ(slurp(folder.path("real")), "new");
}

TEST(File, Directories) {
  TempFolder folder;
  ASSERT_OK(makeDirectories(folder.path("a/b/c")));
  ASSERT_OK(makeDirectories(folder.path("a/b/c")));
  EXPECT_TRUE(isDirectory(folder.path("a/b/c")));
  folder.write("z", "");
  folder.write("B", "");
  EXPECT_EQ(*listDirectory(folder.path()),
            (std::vector<std::string>{"B", "a", "z"}));
}

TEST(File, Paths) {
  EXPECT_EQ(resolvePath("/a/b", "c"), "/a/b/c");
  EXPECT_EQ(resolvePath("/a/b", "../c/./d//e"), "/a/c/d/e");
  EXPECT_EQ(resolvePath("/a", "../../.."), "/");
  EXPECT_EQ(resolvePath("/a", "/x/y/.."), "/x");
  EXPECT_EQ(resolvePath(".", "../a"), "../a");
  EXPECT_EQ(resolvePath(".", "."), ".");
  EXPECT_EQ(parentPath("/a/b"), "/a");
  EXPECT_EQ(parentPath("/a"), "/");
  EXPECT_EQ(parentPath("a"), ".");
  EXPECT_EQ(fileName("/a/b.json"), "b.json");
  EXPECT_EQ(absolutePath("/a"), "/a");
  EXPECT_EQ(absolutePath("a")[0], '/');
}

} // namespace
} // namespace weir
