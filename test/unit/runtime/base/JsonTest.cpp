// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Json.h"
#include "test/unit/runtime/TestSupport.h"

namespace weir {
namespace {

struct BadJson {
  const char *text;
  const char *message;
};

TEST(Json, ErrorsNameFileLineAndColumn) {
  const BadJson cases[] = {
      {"", "f.json:1:1: expects a JSON value, got an empty text"},
      {"{\n  \"a\": 1,\n}", "f.json:3:1: "},
      {"[1, 2", "f.json:1:6: "},
      {"{\"a\": 1} x", "f.json:1:10: "},
      {"{\"a\": 1,\n \"a\": 2}", "f.json:2:4: duplicate key 'a'"},
      {"[1e999]", "number overflow parsing '1e999'"},
      {"\"\xC3\x28\"", "ill-formed UTF-8"},
      {"[NaN]", "f.json:1:2: "},
      {"// no\n1", "f.json:1:1: "},
      {"{\"a\" 1}", "f.json:1:6: "},
      {"\"\\ud800\"", "surrogate"},
  };
  for (const BadJson &bad : cases)
    EXPECT_FAILS(parseJson(bad.text, "f.json"), StatusCode::InvalidInput,
                 bad.message);
}

TEST(Json, CommentsOnlyWhereAllowed) {
  JsonOptions options;
  options.allowComments = true;
  StatusOr<JsonView> view =
      parseJson("// a\n{/* b */\"k\": 1 // c\n}", "f.json", options);
  ASSERT_OK(view);
  EXPECT_EQ(*view->integer("k"), 1);
}

TEST(Json, NestingHasALimit) {
  auto nested = [](int depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_OK(parseJson(nested(64), "f.json"));
  EXPECT_FAILS(parseJson(nested(65), "f.json"), StatusCode::InvalidInput,
               "f.json:1:65: nested deeper than 64 levels");
  EXPECT_FALSE(parseJson(std::string(1000000, '['), "f.json").ok());
}

TEST(Json, GettersNameThePath) {
  StatusOr<JsonView> parsed =
      parseJson(R"({"optimizer": {"lr": "fast", "groups": [{"scale": 1.5}]},
                    "big": 18446744073709551615, "thousand": 1e3,
                    "flag": true, "none": null})",
                "job.json");
  ASSERT_OK(parsed);
  JsonView root = *parsed;
  StatusOr<JsonView> optimizer = root.at("optimizer");
  ASSERT_OK(optimizer);
  EXPECT_EQ(optimizer->number("lr").status().message(),
            "job.json: optimizer.lr: expects a number, got a string");
  JsonView group = (*optimizer->at("groups"))[0];
  EXPECT_EQ(group.integer("scale").status().message(),
            "job.json: optimizer.groups[0].scale: expects an integer, got 1.5");
  EXPECT_FAILS(root.at("absent"), StatusCode::InvalidInput,
               "job.json: lacks the key 'absent'");
  EXPECT_FAILS(root.integer("big"), StatusCode::InvalidInput,
               "expects an integer of 64 bits, got 18446744073709551615");
  EXPECT_EQ(*root.at("big")->asUnsigned(), UINT64_MAX);
  EXPECT_EQ(*root.integer("thousand"), 1000);
  EXPECT_FAILS(root.integer("thousand", 0, 10), StatusCode::InvalidInput,
               "expects an integer from 0 to 10, got 1000.0");
  EXPECT_FAILS(root.string("flag"), StatusCode::InvalidInput,
               "flag: expects a string, got a boolean");
  EXPECT_FALSE(root.find("none"));
  EXPECT_FAILS(
      root.expectKeys({"optimiser", "big", "thousand", "flag", "none"}),
      StatusCode::InvalidInput,
      "unknown key 'optimizer'; did you mean 'optimiser'?");
}

TEST(Json, ViewsOutliveTheDocument) {
  JsonView inner = [] {
    StatusOr<JsonView> view = parseJson(R"({"a": {"b": [1, 2]}})", "f");
    return *view->at("a");
  }();
  EXPECT_EQ(*inner.at("b")->asIntegers(), (std::vector<int64_t>{1, 2}));
}

TEST(JsonWriter, WritesWhatTheParserReads) {
  JsonWriter writer;
  writer.beginObject();
  writer.member("text", "a\"b\\c\n\x01\xFF\xC3\xBC");
  writer.member("lr", 3e-5).member("n", 7).member("yes", true);
  writer.member("nan", 0.0 / 0.0).member("huge", UINT64_MAX);
  writer.key("shape").list(std::vector<int64_t>{2, 3});
  writer.key("empty").beginObject().endObject();
  writer.key("rows").beginArray();
  writer.beginObject().member("a", 1).endObject();
  writer.endArray().endObject();
  std::string text = writer.take();
  EXPECT_EQ(text, "{\n"
                  "  \"text\": \"a\\\"b\\\\c\\n\\u0001\xEF\xBF\xBD\xC3\xBC\",\n"
                  "  \"lr\": 3e-05,\n"
                  "  \"n\": 7,\n"
                  "  \"yes\": true,\n"
                  "  \"nan\": null,\n"
                  "  \"huge\": 18446744073709551615,\n"
                  "  \"shape\": [2, 3],\n"
                  "  \"empty\": {},\n"
                  "  \"rows\": [\n"
                  "    {\n"
                  "      \"a\": 1\n"
                  "    }\n"
                  "  ]\n"
                  "}\n");
  EXPECT_OK(parseJson(text, "f"));

  JsonWriter compact(0);
  compact.beginArray().value(1).value("x").null().endArray();
  EXPECT_EQ(compact.take(), "[1,\"x\",null]");
}

} // namespace
} // namespace weir
