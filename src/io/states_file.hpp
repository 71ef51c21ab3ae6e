#pragma once

#include <string>
#include <vector>

#include "deeppcr/io/provenance.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::io {

/// Writes the states with the given numbers (0..L, rising) to a file of their own: /z [count, B, n]
/// and /state [count]. The file takes its name when it is whole. Collective.
void write_states_file(const std::string& path, const Provenance& provenance,
                       const Problem& problem, const std::vector<Index>& wanted,
                       const sequence::Trajectory& trajectory);

}  // namespace deeppcr::io
