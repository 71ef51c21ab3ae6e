#pragma once

#include <memory>
#include <string>

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/sequence/trajectory.hpp"
#include "linear_case.hpp"

namespace deeppcr::bench {

/// A model with a trajectory laid out for one linear solver; the input is the same for any split.
struct NetworkCase {
  NetworkCase(const parallel::Communicator& comm, const std::string& linear,
              const models::ModelOptions& options, Index batch);
  NetworkCase(const parallel::Communicator& comm, const parallel::BlockLayout& layout,
              const models::ModelOptions& options, Index batch);

  sequence::Trajectory trajectory;
  std::unique_ptr<sequence::Sequence> model;
};

}  // namespace deeppcr::bench
