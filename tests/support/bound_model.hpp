#pragma once

#include <memory>

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

}  // namespace deeppcr::test
