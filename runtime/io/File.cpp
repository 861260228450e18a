// SPDX-License-Identifier: Apache-2.0
#include "runtime/io/File.h"
#include "runtime/base/Strings.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace weir {

static std::string reason(const std::string &path, const char *what, int code) {
  return printable(path, 4096) + ": cannot " + what + ": " +
         std::system_category().message(code);
}

static Status inputError(const std::string &path, const char *what) {
  return invalidInput(reason(path, what, errno));
}

static Status outputError(const std::string &path, const char *what) {
  return Status(StatusCode::OutputError, reason(path, what, errno));
}

namespace {
/// Closes a descriptor at the end of its scope.
struct Closer {
  int descriptor;
  ~Closer() {
    if (descriptor >= 0)
      ::close(descriptor);
  }
};
} // namespace

/// Opens a regular file for reading and tells its size.
static StatusOr<int> openForReading(const std::string &path, uint64_t &size) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return inputError(path, "open");
  struct stat info;
  if (::fstat(descriptor, &info) != 0) {
    Status status = inputError(path, "read");
    ::close(descriptor);
    return status;
  }
  if (S_ISDIR(info.st_mode)) {
    ::close(descriptor);
    return invalidInput(printable(path, 4096) +
                        ": expects a file, got a folder");
  }
  size = S_ISREG(info.st_mode) ? static_cast<uint64_t>(info.st_size) : 0;
  return descriptor;
}

StatusOr<std::string> readFile(const std::string &path) {
  uint64_t size = 0;
  WEIR_ASSIGN_OR_RETURN(int descriptor, openForReading(path, size));
  Closer closer{descriptor};
  std::string content;
  content.resize(size);
  uint64_t done = 0;
  while (true) {
    // Pipes and files that grow have more than fstat said.
    if (done == content.size())
      content.resize(std::max<uint64_t>(content.size() * 2, done + 4096));
    ssize_t count =
        ::read(descriptor, content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return inputError(path, "read");
    if (count == 0)
      break;
    done += static_cast<uint64_t>(count);
  }
  content.resize(done);
  return content;
}

Status writeFile(const std::string &path, std::string_view content) {
  WEIR_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  WEIR_RETURN_IF_ERROR(file.write(content));
  return file.commit();
}

bool fileExists(const std::string &path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool isDirectory(const std::string &path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Status makeDirectories(const std::string &path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    std::string part = path.substr(0, end);
    if (!part.empty() && ::mkdir(part.c_str(), 0777) != 0 && errno != EEXIST)
      return outputError(part, "make the folder");
    if (end == std::string::npos)
      break;
  }
  if (!isDirectory(path)) {
    errno = ENOTDIR;
    return outputError(path, "make the folder");
  }
  return okStatus();
}

StatusOr<std::vector<std::string>> listDirectory(const std::string &path) {
  DIR *folder = ::opendir(path.c_str());
  if (!folder)
    return inputError(path, "list the folder");
  std::vector<std::string> names;
  errno = 0;
  while (struct dirent *entry = ::readdir(folder)) {
    std::string name = entry->d_name;
    if (name != "." && name != "..")
      names.push_back(std::move(name));
  }
  int code = errno;
  ::closedir(folder);
  if (code != 0)
    return invalidInput(reason(path, "list the folder", code));
  std::sort(names.begin(), names.end());
  return names;
}

std::string resolvePath(const std::string &folder, const std::string &path) {
  std::string joined =
      path.empty() || path[0] != '/' ? folder + "/" + path : path;
  bool absolute = !joined.empty() && joined[0] == '/';
  std::vector<std::string> parts;
  for (std::string &part : split(joined, '/')) {
    if (part.empty() || part == ".")
      continue;
    if (part == ".." && !parts.empty() && parts.back() != "..")
      parts.pop_back();
    else if (part != ".." || !absolute)
      parts.push_back(std::move(part));
  }
  std::string result = (absolute ? "/" : "") + join(parts, "/");
  return result.empty() ? "." : result;
}

std::string parentPath(const std::string &path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string fileName(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string absolutePath(const std::string &path) {
  std::vector<char> buffer(256);
  while (!::getcwd(buffer.data(), buffer.size())) {
    if (errno != ERANGE)
      return path;
    buffer.resize(buffer.size() * 2);
  }
  return resolvePath(buffer.data(), path);
}

StatusOr<MappedFile> MappedFile::open(const std::string &path) {
  MappedFile file;
  file.name = path;
  WEIR_ASSIGN_OR_RETURN(int descriptor, openForReading(path, file.length));
  Closer closer{descriptor};
  // An empty file cannot be mapped; it has nothing to point to either.
  if (file.length == 0)
    return file;
  void *address =
      ::mmap(nullptr, file.length, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (address == MAP_FAILED) {
    file.length = 0;
    return inputError(path, "map");
  }
  file.bytes = static_cast<const uint8_t *>(address);
  return file;
}

MappedFile::MappedFile(MappedFile &&other) noexcept {
  *this = std::move(other);
}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(name, other.name);
  std::swap(bytes, other.bytes);
  std::swap(length, other.length);
  return *this;
}

MappedFile::~MappedFile() {
  if (bytes)
    ::munmap(const_cast<uint8_t *>(bytes), length);
}

StatusOr<AtomicFile> AtomicFile::create(const std::string &path) {
  // Unique within the process by the counter, among processes by O_EXCL.
  static std::atomic<unsigned> counter{0};
  AtomicFile file;
  file.target = path;
  struct stat info;
  if (::lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode))
    // The file behind a link is replaced, not the link.
    if (char *real = ::realpath(path.c_str(), nullptr)) {
      file.target = real;
      std::free(real);
    }
  // A device or pipe cannot be replaced by a file: it is written as it stands.
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) &&
      !S_ISDIR(info.st_mode)) {
    file.descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (file.descriptor < 0)
      return outputError(path, "open");
    return file;
  }
  for (int attempt = 0; attempt < 100; ++attempt) {
    file.temporary = file.target + ".tmp" + std::to_string(::getpid()) + "-" +
                     std::to_string(counter.fetch_add(1));
    file.descriptor = ::open(file.temporary.c_str(),
                             O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.descriptor >= 0 || errno != EEXIST)
      break;
  }
  if (file.descriptor < 0)
    return outputError(path, "create");
  return file;
}

AtomicFile::AtomicFile(AtomicFile &&other) noexcept {
  *this = std::move(other);
}

AtomicFile &AtomicFile::operator=(AtomicFile &&other) noexcept {
  std::swap(target, other.target);
  std::swap(temporary, other.temporary);
  std::swap(descriptor, other.descriptor);
  std::swap(end, other.end);
  return *this;
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() {
  if (descriptor < 0)
    return;
  ::close(descriptor);
  if (!temporary.empty())
    ::unlink(temporary.c_str());
  descriptor = -1;
}

Status AtomicFile::failure(const char *what) const {
  return outputError(target, what);
}

Status AtomicFile::write(const void *data, uint64_t size) {
  WEIR_RETURN_IF_ERROR(writeAt(end, data, size));
  end += size;
  return okStatus();
}

Status AtomicFile::writeAt(uint64_t offset, const void *data, uint64_t size) {
  const char *bytes = static_cast<const char *>(data);
  bool inPlace = temporary.empty();
  if (inPlace && offset != end) {
    errno = ESPIPE;
    return failure("write");
  }
  while (size > 0) {
    ssize_t count = inPlace ? ::write(descriptor, bytes, size)
                            : ::pwrite(descriptor, bytes, size, offset);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return failure("write");
    bytes += count;
    offset += static_cast<uint64_t>(count);
    size -= static_cast<uint64_t>(count);
  }
  return okStatus();
}

Status AtomicFile::commit() {
  if (temporary.empty()) {
    int closing = std::exchange(descriptor, -1);
    return ::close(closing) == 0 ? okStatus() : failure("write");
  }
  if (::fsync(descriptor) != 0)
    return failure("write");
  int closing = descriptor;
  descriptor = -1;
  if (::close(closing) != 0 ||
      ::rename(temporary.c_str(), target.c_str()) != 0) {
    Status status = failure("write");
    ::unlink(temporary.c_str());
    return status;
  }
  // The rename itself is durable only with its folder. A folder that cannot be
  // synchronised (some network file systems) still holds the file.
  int folder =
      ::open(parentPath(target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    (void)::fsync(folder);
    ::close(folder);
  }
  return okStatus();
}

} // namespace weir
