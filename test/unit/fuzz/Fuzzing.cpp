// SPDX-License-Identifier: Apache-2.0
#include "test/unit/fuzz/Fuzzing.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::fuzz {
namespace {

bool isWord(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' ||
         c == '$';
}
bool isDigit(char c) { return c >= '0' && c <= '9'; }

const std::vector<std::string> extremes = {"0",
                                           "1",
                                           "2",
                                           "3",
                                           "7",
                                           "-1",
                                           "65536",
                                           "4294967296",
                                           "9223372036854775807",
                                           "-9223372036854775808"};

/// What a child tells its parent.
struct Shared {
  int next = 0;
  Counts counts;
  bool finished = false;
  char wrong[2000] = {};
};

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WEIR_ADDRESS_SANITIZER
#endif

#ifndef WEIR_ADDRESS_SANITIZER
/// Bytes that this process has mapped.
int64_t mappedBytes() {
  int64_t pages = 0;
  if (FILE *file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld", &pages) != 1)
      pages = 0;
    std::fclose(file);
  }
  return pages * sysconf(_SC_PAGESIZE);
}
#endif

void bound(const Bounds &bounds) {
  rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
#ifndef WEIR_ADDRESS_SANITIZER
  rlim_t bytes = mappedBytes() + bounds.memoryBytes;
  rlimit memory = {bytes, bytes};
  setrlimit(RLIMIT_AS, &memory);
#endif
}

void startClock(int seconds) {
  itimerval timer = {};
  timer.it_value.tv_sec = seconds;
  setitimer(ITIMER_PROF, &timer, nullptr);
}

} // namespace

TokenMutator::Kind TokenMutator::kindOf(const std::string &token) {
  char c = token[0];
  if (std::isspace(static_cast<unsigned char>(c)))
    return Kind::Space;
  if (c == '"')
    return Kind::String;
  if (isDigit(c))
    return Kind::Number;
  return isWord(c) ? Kind::Word : Kind::Symbol;
}

TokenMutator::TokenMutator(const std::string &text) {
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    char c = text[at];
    bool afterNumber = !tokens.empty() && isDigit(tokens.back()[0]);
    if (c == '"') {
      while (end < text.size() && text[end] != '"')
        end += text[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, text.size());
    } else if (isDigit(c)) {
      while (end < text.size() && isDigit(text[end]))
        ++end;
    } else if (isWord(c) && !(c == 'x' && afterNumber)) {
      while (end < text.size() && isWord(text[end]))
        ++end;
    } else if (c == ' ') {
      while (end < text.size() && text[end] == ' ')
        ++end;
    }
    tokens.push_back(text.substr(at, end - at));
    at = end;
  }
}

std::string TokenMutator::mutation(uint32_t seed) const {
  Random random(seed);
  std::vector<std::string> list = tokens;
  auto lineAround = [&](size_t at, size_t &begin, size_t &end) {
    begin = at;
    while (begin > 0 && list[begin - 1] != "\n")
      --begin;
    end = at;
    while (end < list.size() && list[end] != "\n")
      ++end;
    end = std::min(end + 1, list.size());
  };
  // Mostly one edit: two rarely leave a text that still parses.
  size_t count = random.below(4) ? 1 : 2 + random.below(2);
  for (size_t edits = count; edits > 0 && !list.empty(); --edits) {
    size_t at = random.below(list.size());
    for (size_t tries = 0; kindOf(list[at]) == Kind::Space && tries < 9;
         ++tries)
      at = random.below(list.size());
    std::string old = list[at];
    Kind kind = kindOf(old);
    size_t begin, end;
    switch (random.below(12)) {
    case 0:
      list.erase(list.begin() + at);
      break;
    case 1:
      list.insert(list.begin() + at, old);
      break;
    case 2:
      lineAround(at, begin, end);
      list.erase(list.begin() + begin, list.begin() + end);
      break;
    case 3: {
      lineAround(at, begin, end);
      std::vector<std::string> line(list.begin() + begin, list.begin() + end);
      size_t to, after;
      lineAround(random.below(list.size()), to, after);
      list.insert(list.begin() + to, line.begin(), line.end());
      break;
    }
    case 4:
      if (!old.empty())
        list[at][random.below(old.size())] = static_cast<char>(random.next());
      break;
    case 5:
    case 6:
    case 7: {
      // A number, here or wherever it stands.
      for (size_t tries = 0; kind != Kind::Number && tries < 50; ++tries) {
        at = random.below(list.size());
        kind = kindOf(list[at]);
      }
      old = list[at];
      if (kind != Kind::Number)
        break;
      // One of the text's own: another value, size or dimension.
      std::string fresh = list[random.below(list.size())];
      if (kindOf(fresh) != Kind::Number)
        fresh = random.pick(extremes);
      if (old.size() < 9 && random.below(2))
        fresh = std::to_string(
            std::max(0, std::stoi(old) + int(random.below(5)) - 2));
      if (random.below(2))
        std::replace(list.begin(), list.end(), old, fresh);
      else
        list[at] = fresh;
      break;
    }
    default: {
      // Another of its kind, near ones more often: what follows still parses.
      std::vector<size_t> others;
      for (size_t i = 0; i < list.size(); ++i)
        if (kindOf(list[i]) == kind && list[i] != old)
          others.push_back(i);
      if (!others.empty())
        list[at] = list[random.pick(others)];
      break;
    }
    }
  }
  std::string text;
  for (const std::string &token : list)
    text += token;
  return text;
}

Counts fuzz(int count, const std::function<std::string(int)> &mutation,
            const std::function<Verdict(const std::string &)> &judge,
            const Bounds &bounds) {
  auto *shared = static_cast<Shared *>(mmap(nullptr, sizeof(Shared),
                                            PROT_READ | PROT_WRITE,
                                            MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  EXPECT_NE(shared, MAP_FAILED);
  *shared = Shared();
  if (const char *factor = std::getenv("WEIR_FUZZ_FACTOR"))
    count *= std::max(1, std::atoi(factor));
  int reported = 0;
  constexpr int maxReported = 5;
  while (shared->next < count && reported < maxReported) {
    std::fflush(nullptr);
    shared->wrong[0] = 0;
    shared->finished = false;
    pid_t child = fork();
    if (child == 0) {
      bound(bounds);
      for (; shared->next < count; ++shared->next) {
        startClock(bounds.processorSeconds);
        Verdict verdict = judge(mutation(shared->next));
        ++(verdict.accepted ? shared->counts.accepted : shared->counts.refused);
        if (!verdict.wrong.empty()) {
          std::snprintf(shared->wrong, sizeof(shared->wrong), "%s",
                        verdict.wrong.c_str());
          break;
        }
      }
      shared->finished = true;
      _exit(0);
    }
    int state = 0;
    if (child < 0 || waitpid(child, &state, 0) != child) {
      ADD_FAILURE() << "cannot run a child process: " << std::strerror(errno);
      break;
    }
    if (shared->finished && !shared->wrong[0])
      break;
    ++reported;
    std::string what =
        shared->finished ? shared->wrong
        : WIFSIGNALED(state)
            ? std::string("ended by signal: ") + strsignal(WTERMSIG(state))
            : "ended with " + std::to_string(WEXITSTATUS(state));
    ADD_FAILURE() << "mutation " << shared->next << ": " << what
                  << "\n--- text:\n"
                  << mutation(shared->next) << "\n---";
    ++shared->next;
  }
  Counts counts = shared->counts;
  munmap(shared, sizeof(Shared));
  testing::Test::RecordProperty("accepted", counts.accepted);
  return counts;
}

Verdict judgeStatus(const Status &status,
                    const std::vector<StatusCode> &allowed) {
  Verdict verdict;
  verdict.accepted = status.ok();
  if (status.ok())
    return verdict;
  if (std::find(allowed.begin(), allowed.end(), status.code()) == allowed.end())
    verdict.wrong = "exit code " +
                    std::to_string(static_cast<int>(status.code())) + ": " +
                    status.message();
  else if (status.message().empty())
    verdict.wrong = "no message";
  return verdict;
}

} // namespace weir::fuzz
