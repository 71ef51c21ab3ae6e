#include "app/stream_checkpoint.hpp"

#include "app/files.hpp"
#include "app/same_run.hpp"
#include "app/training_files.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/checkpoint.hpp"

namespace deeppcr::app {
namespace {

constexpr const char* kUpdates = "/learning/updates";
/// Frames between checkpoints for each one whose gradient they drop, from which on little is lost.
constexpr Index kGoodFrames = 10;

/// @throws Error where the stages would be others
void require_stages(const io::Checkpoint& checkpoint, const parallel::Communicator& comm) {
  const std::string& path = checkpoint.file().path();
  if (checkpoint.configuration().rfind("[stream]\n", 0) != 0 || !checkpoint.file().has(kUpdates))
    throw input_error("--restart {}: it was not written by deeppcr stream", path);
  const Index stages = checkpoint.file().shape(kUpdates)[0];
  if (stages == comm.size()) return;
  throw input_error(
      "--restart {}: it was written by {} ranks, and {} learn by other delays; use mpirun -n {}, "
      "or begin with the weights that --save-weights has written",
      path, stages, comm.size(), stages);
}

void read_array(const io::Checkpoint& checkpoint, const train::StoredArray& array) {
  const std::string name = "/" + array.name;
  const io::hdf5::Shape wanted{array.rows, array.row_size};
  if (!checkpoint.file().has(name) || checkpoint.file().shape(name) != wanted)
    throw input_error(
        "--restart {}: it has no {} of [{}, {}], which this run needs; give the --optimiser and "
        "frames of the run that wrote it",
        checkpoint.file().path(), name, array.rows, array.row_size);
  checkpoint.file().read_rows<Real>(name, {{array.own, array.values}});
}

}  // namespace

void check_checkpoint_frames(const StreamConfig& config, int ranks) {
  const Index apart = config.frames_to_save;
  const Index dropped = train::OnlinePipeline::staleness(0, ranks);
  if (apart == 0 || dropped == 0) return;
  if (apart <= dropped)
    throw input_error(
        "--checkpoint-frames {}: a checkpoint drops the gradients under way, of {} frames at the "
        "first of {} ranks, which would learn nothing; use more than {}, better {} or more",
        apart, dropped, ranks, dropped, kGoodFrames * dropped);
  if (apart < kGoodFrames * dropped)
    log::warn(
        "--checkpoint-frames {}: the first of {} ranks learns from {} of {} frames, as a "
        "checkpoint drops the gradients under way; use {} or more",
        apart, ranks, apart - dropped, apart, kGoodFrames * dropped);
}

void look_at_restart(const parallel::Communicator& comm, StreamConfig& config) {
  std::string& restart = config.network.files.restart;
  const auto path = config.network.files.restart_path(comm);
  restart = path.value_or("");
  if (path) config.frames_before = checkpoint_origin(comm, *path).updates;
}

void StreamCheckpoint::save(train::OnlinePipeline& learner, Index next_frame,
                            double seconds) const {
  const parallel::Communicator& comm = context_.comm;
  io::CheckpointContent content;
  content.problem = config_.network.chain.problem();
  content.progress = {next_frame, 0, seconds};
  for (const train::StoredArray& array : learner.stored()) {
    if (array.row_size == 0) continue;
    io::CheckpointArray one{"/" + array.name, {array.rows, array.row_size}, {}, {}};
    one.about = {array.long_name, {"row", "number"}};
    one.pieces.push_back({array.own, array.values});
    content.arrays.push_back(std::move(one));
  }
  const Real updates = static_cast<Real>(learner.updates());
  io::CheckpointArray counts{kUpdates, {comm.size(), 1}, {}, {"updates done", {"stage", "number"}}};
  counts.pieces.push_back({comm.rank(), 1, &updates});
  content.arrays.push_back(std::move(counts));
  io::save_checkpoint(comm, config_.network.files.checkpoint, provenance(context_), content);
}

Index StreamCheckpoint::resume(train::OnlinePipeline& learner) const {
  const parallel::Communicator& comm = context_.comm;
  const auto path = config_.network.files.restart_path(comm);
  if (!path) return 0;
  const io::Checkpoint checkpoint(comm, *path);
  require_stages(checkpoint, comm);
  checkpoint.require(config_.network.chain.problem());
  require_same_run(comm, *path, checkpoint.configuration(), context_.configuration);
  for (const train::StoredArray& array : learner.stored())
    if (array.row_size > 0) read_array(checkpoint, array);
  Real updates = 0;
  checkpoint.file().read_rows<Real>(kUpdates, {{comm.rank(), 1, &updates}});
  learner.resume(static_cast<Index>(updates));
  const Index next_frame = checkpoint.progress().iteration;
  log::info("going on from {}: frame {} comes next", *path, next_frame);
  return next_frame;
}

}  // namespace deeppcr::app
