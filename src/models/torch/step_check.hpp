#pragma once

#include <memory>

namespace deeppcr::models {

class TorchModule;

/// Tries the first and the last step of a module at random states, as every solver will use them:
/// values that do not depend on the call or on other samples, derivatives that are theirs.
/// Cost: some tens of evaluations. @throws Error (of this rank) with the first fault, in one
/// sentence
void check_torch_step(const std::shared_ptr<const TorchModule>& module);

}  // namespace deeppcr::models
