#include <gtest/gtest.h>

#include "deeppcr/cli/options.hpp"
#include "support/refusal.hpp"

namespace deeppcr::cli {
namespace {

/// "section.key=value@line" for each entry.
std::string read(const std::string& text) {
  std::string all;
  for (const ConfigEntry& entry : parse_config_text("run.ini", text))
    all += fmt::format("{}.{}={}@{}\n", entry.section, entry.key, entry.value, entry.line);
  return all;
}

TEST(ConfigText, SectionsKeysAndLines) {
  EXPECT_EQ(read("a = 1\n\n[solve]\n b=2 3\t\n[ gradient ]\nb ="),
            ".a=1@1\nsolve.b=2 3@4\n"
            "gradient.b=@6\n");
  EXPECT_EQ(read("a = b = c"), ".a=b = c@1\n");
  EXPECT_EQ(read(""), "");
  EXPECT_EQ(read("\n\r\r\n"), "");
}

TEST(ConfigText, EveryEndOfLineAndAByteOrderMark) {
  for (const char* end : {"\n", "\r\n", "\r"}) {
    for (const char* mark : {"", "\xef\xbb\xbf"})
      EXPECT_EQ(read(fmt::format("{}[s]{}a=1{}b=2", mark, end, end)), "s.a=1@2\ns.b=2@3\n");
  }
}

TEST(ConfigText, CommentsBreakNoValue) {
  EXPECT_EQ(read("; a = 1\n  ;b=2\n#c\n  # d\n"), "");
  EXPECT_EQ(read("a = x;y\nb = x ; y\nc = run#1\nd = 1 # one\ne = 2\t#two\nf = #three"),
            ".a=x;y@1\n.b=x ; y@2\n.c=run#1@3\n.d=1@4\n.e=2@5\n.f=@6\n");
  EXPECT_EQ(read("[s] # section\na=1"), "s.a=1@2\n");
}

TEST(ConfigText, WhatIsNoEntryIsRefusedWithItsLine) {
  const auto refused = [](const std::string& text, const char* phrase) {
    EXPECT_NE(test::refusal([&] { read(text); }).find(phrase), std::string::npos) << text;
  };
  refused("a=1\nword", "line 2 is neither '[COMMAND]' nor 'key = value': word");
  refused("[s", "line 1");
  refused("= 3", "line 1");
  refused("a=1\n[s]\na=2\n\n a = 3", "'a' is given twice, in lines 3 and 5");
  refused(std::string("\xff\xfe[\0", 4), "UTF-16");
  refused("\xfe\xff", "UTF-16");
  refused(std::string("a\0=\0", 4), "bytes of zero");
}

}  // namespace
}  // namespace deeppcr::cli
