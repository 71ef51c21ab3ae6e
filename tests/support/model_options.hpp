#pragma once

#include <string>

#include "deeppcr/models/catalogue.hpp"

namespace deeppcr::test {

/// Sets an option where the model has it: for tests that go over models.
template <typename Value>
models::ModelOptions& set_where_known(models::ModelOptions& options, const std::string& name,
                                      const Value& value) {
  for (const OptionSpec& spec : models::find(options.model).options)
    if (spec.name == name) options.set(name, value);
  return options;
}

}  // namespace deeppcr::test
