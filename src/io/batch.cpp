#include "deeppcr/io/batch.hpp"

namespace deeppcr::io {

void broadcast(const parallel::Communicator& comm, Batch& batch) {
  comm.broadcast(batch.samples, 0);
  comm.broadcast(batch.features, 0);
  Index labelled = static_cast<Index>(batch.labels.size());
  comm.broadcast(labelled, 0);
  batch.inputs.resize(static_cast<std::size_t>(batch.samples * batch.features));
  comm.broadcast(batch.inputs.data(), batch.samples * batch.features, 0);
  // Labels are small whole numbers, which reals hold exactly: one message for all of them.
  std::vector<Real> labels(batch.labels.begin(), batch.labels.end());
  labels.resize(static_cast<std::size_t>(labelled));
  comm.broadcast(labels.data(), labelled, 0);
  batch.labels.assign(labels.begin(), labels.end());
}

}  // namespace deeppcr::io
