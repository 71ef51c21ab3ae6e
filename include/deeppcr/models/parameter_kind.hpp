#pragma once

namespace deeppcr::models {

/// How a trainable number follows its gradient.
enum class ParameterKind {
  weight,  ///< descends; weight decay shrinks it
  primal,  ///< descends
  dual     ///< ascends: the largest value is looked for
};

}  // namespace deeppcr::models
