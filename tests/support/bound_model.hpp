#pragma once

#include <memory>
#include <string>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/models/catalogue.hpp"

namespace deeppcr::test {

/// A model of the catalogue; where its steps take inputs, with noise by step and sample, or with
/// the same for samples that are `alike`.
class BoundModel {
 public:
  BoundModel(const models::ModelOptions& options, const StepSet& local, Index batch,
             bool alike = false)
      : model_(models::make(options, local)),
        inputs_(options.steps * batch * model_->input_width()) {
    const Index d = model_->input_width();
    if (d == 0) return;
    const RandomStream noise(6, 1);
    for (Index row = 0; row < options.steps * batch; ++row)
      noise.normal((alike ? row / batch : row) * d, d, inputs_.data() + row * d);
    bound_ = model_->bound_to({{0, options.steps}, {inputs_.data(), {options.steps, batch, d}}});
  }

  sequence::Sequence& operator*() const { return bound_ ? *bound_ : *model_; }
  sequence::Sequence* operator->() const { return &**this; }

 private:
  std::unique_ptr<sequence::Sequence> model_;
  Buffer<Real> inputs_;
  std::unique_ptr<sequence::Sequence> bound_;
};

/// Names of the catalogue beside those that a test has in its table: models from outside.
template <typename Table>
std::vector<const char*> added_models(const Table& known) {
  std::vector<const char*> added;
  for (const models::CatalogueEntry& entry : models::catalogue()) {
    bool found = false;
    for (const auto& variant : known) found = found || entry.name == variant.model;
    if (!found) added.push_back(entry.name.c_str());
  }
  return added;
}

/// Words as GoogleTest takes them for names.
inline std::string as_identifier(std::string name) {
  for (char& letter : name)
    if (letter == '-') letter = '_';
  return name;
}

}  // namespace deeppcr::test
