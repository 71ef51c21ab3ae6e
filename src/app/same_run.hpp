#pragma once

#include <string>
#include <vector>

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// Whether a run may go on from the checkpoint `path`, which was written with the configuration
/// `stored`. An option that changes the function (of the model's entry, of the loss that is
/// trained, of the sampler) is refused by name; one that changes the course of a run (data,
/// optimiser, schedule) gives a sentence. Sizes and seed are left to the checkpoint itself.
/// @throws Error for the first option that is refused
std::vector<std::string> differing_course(const std::string& path, const std::string& stored,
                                          const std::string& running);

/// The same on rank 0, which alone may see the files, with a warning for each sentence. Collective.
void require_same_run(const parallel::Communicator& comm, const std::string& path,
                      const std::string& stored, const std::string& running);

/// Whether both configurations give an option the same value, or none.
bool same_option(const std::string& stored, const std::string& running, const std::string& name);

}  // namespace deeppcr::app
