#include "deeppcr/io/signals.hpp"

#include "deeppcr/core/error.hpp"
#include "io/signal_files.hpp"

namespace deeppcr::io {

Signals read_signals(const parallel::Communicator& comm, const std::string& path,
                     const SignalOptions& options) {
  if (options.frame < 1)
    throw input_error("--frame {}: a step has one sample at least", options.frame);
  Signals signals;
  parallel::agree(comm, [&] {
    if (comm.is_root()) signals = read_hdf5_signals(path);
  });
  Index each = signals.labels_each ? 1 : 0;
  for (Index* number :
       {&signals.samples, &signals.steps, &signals.features, &signals.target_width, &each})
    comm.broadcast(*number, 0);
  signals.labels_each = each != 0;
  comm.broadcast(signals.lengths, 0);
  comm.broadcast(signals.labels, 0);
  const Index entries = signals.steps * signals.samples;
  parallel::agree(comm, [&] {  // a rank may have no memory for them
    if (comm.is_root()) return;
    signals.inputs.reset(entries * signals.features);
    signals.targets.reset(entries * signals.target_width);
  });
  comm.broadcast(signals.inputs.data(), signals.inputs.size(), 0);
  comm.broadcast(signals.targets.data(), signals.targets.size(), 0);
  return signals;
}

}  // namespace deeppcr::io
