#include "deeppcr/core/options.hpp"

#include <gtest/gtest.h>

#include <string>

#include "deeppcr/core/error.hpp"

namespace deeppcr {
namespace {

const std::vector<OptionSpec>& specs() {
  static const std::vector<OptionSpec> all{
      whole_option("count", 2, 1, 1'000'000, ""), real_option("rate", "1e-3", 0, 1, ""),
      word_option("rule", "first", {"first", "second"}, ""), text_option("file", "", "", "FILE"),
      flag_option("fast", "")};
  return all;
}

std::string refusal(const std::string& name, const std::string& value) {
  try {
    OptionValues(specs()).set(name, value);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_input);
    return error.what();
  }
  return "";
}

TEST(OptionValues, StartAtTheirDefaults) {
  const OptionValues values(specs());
  EXPECT_EQ(values.whole("count"), 2);
  EXPECT_EQ(values.real("rate"), 1e-3);
  EXPECT_EQ(values.word("rule"), "first");
  EXPECT_EQ(values.word("file"), "");
  EXPECT_FALSE(values.flag("fast"));
  for (const OptionSpec& spec : specs()) EXPECT_FALSE(values.given(spec.name)) << spec.name;
  EXPECT_FALSE(values.has("width"));
}

TEST(OptionValues, AreSetByTextAndByNumber) {
  OptionValues values(specs());
  values.set("count", "1e6")
      .set("rate", 0.25)
      .set("rule", "second")
      .set("file", "a b")
      .set("fast", "true");
  EXPECT_EQ(values.whole("count"), 1'000'000);
  EXPECT_EQ(values.real("rate"), 0.25);
  EXPECT_EQ(values.word("rule"), "second");
  EXPECT_EQ(values.word("file"), "a b");
  EXPECT_TRUE(values.flag("fast"));
  EXPECT_TRUE(values.given("count"));
  // The shortest text that gives a number back.
  EXPECT_EQ(OptionValues(specs()).set("rate", 0.1 + 0.2).real("rate"), 0.1 + 0.2);
}

TEST(OptionValues, RefuseWhatIsNotDeclared) {
  for (const char* wrong : {"0", "1000001", "1.5", "many", "", " 2", "2x", "nan"})
    EXPECT_NE(refusal("count", wrong).find("from 1 to 1000000"), std::string::npos) << wrong;
  for (const char* wrong : {"-0.1", "1.5", "nan", "inf", ""})
    EXPECT_NE(refusal("rate", wrong).find("from 0 to 1"), std::string::npos) << wrong;
  EXPECT_EQ(refusal("rule", "third"), "--rule third: unknown; allowed: first, second");
  EXPECT_NE(refusal("fast", "perhaps").find("true or false"), std::string::npos);
  EXPECT_NE(refusal("width", "3").find("--width"), std::string::npos);
}

TEST(OptionValues, TakeWhatOthersHaveUnderTheSameName) {
  OptionValues others({whole_option("count", 7, 1, 9, ""), text_option("rate", "fast", ""),
                       flag_option("more", "")});
  OptionValues values(specs());
  values.set("rule", "second");
  values.take(others);
  EXPECT_EQ(values.whole("count"), 7);
  EXPECT_FALSE(values.given("count"));
  EXPECT_EQ(values.real("rate"), 1e-3);  // of another kind
  EXPECT_EQ(values.word("rule"), "second");
  EXPECT_FALSE(values.has("more"));
  others.set("count", 8);
  values.take(others);
  EXPECT_TRUE(values.given("count"));
}

}  // namespace
}  // namespace deeppcr
