#pragma once

#include <gtest/gtest.h>

#include <string>

#include "deeppcr/core/error.hpp"

namespace deeppcr::test {

/// What a call says that must refuse bad input; empty where it does not refuse.
template <typename Call>
std::string refusal(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_input);
    return error.what();
  }
  return "";
}

}  // namespace deeppcr::test
