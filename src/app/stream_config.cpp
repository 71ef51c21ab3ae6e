#include "app/stream_config.hpp"

#include "app/ends.hpp"
#include "app/run_commands.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"

namespace deeppcr::app {
namespace {

constexpr Index kMany = 1'000'000'000'000;
constexpr Index kMostNumbers = 100'000'000;

/// @throws Error for frames that nothing can be learned from
void refuse_unlabelled(const OptionValues& options) {
  if (options.text("frames").empty() || options.flag("labelled")) return;
  throw input_error(
      "--learning-rate {}: learning needs the class of each frame, and --frames {} has none; write "
      "it in front of each frame and add --labelled, or leave --learning-rate out",
      options.real("learning-rate"), options.text("frames"));
}

/// @throws Error for options that say something of learning where there is none
void refuse_learning(const OptionValues& options) {
  std::vector<std::string> names;
  const auto add = [&](const auto& entries) {  // options of an entry, given alone, choose it
    for (const auto& entry : entries)
      for (const OptionSpec& option : entry.options) names.push_back(option.name);
  };
  add(train::optimisers());
  add(train::schedules());
  add(models::losses());
  for (const char* name :
       {"optimiser", "schedule", "warm-up", "loss", "clip-norm", "trace", "save-weights",
        "save-module", "checkpoint", "checkpoint-frames", "checkpoint-every", "restart"})
    names.emplace_back(name);
  for (const std::string& name : names) {
    if (options.given(name))
      throw input_error(
          "--{} is for a stream that learns, which --learning-rate turns on; add it, such as "
          "--learning-rate 1e-3, or leave --{} out",
          name, name);
  }
}

void refuse_contradictory_files(const OptionValues& options) {
  if (!options.text("weights").empty() && !options.text("restart").empty())
    throw input_error("--weights and --restart exclude each other: both say where to start");
  for (const char* name : {"checkpoint-frames", "checkpoint-every"})
    if (options.given(name) && options.text("checkpoint").empty())
      throw input_error("--{} needs --checkpoint FILE", name);
}

/// @throws Error for a schedule to an end that nobody knows
void refuse_endless_schedule(const OptionValues& options) {
  const std::string name = options.text("schedule");
  if (!train::find_schedule(name).is_planned || options.whole("max-frames") > 0) return;
  throw input_error(
      "--schedule {} falls to the end of the stream, which --max-frames says; add it, or use "
      "another schedule",
      name);
}

void refuse_contradictions(const OptionValues& options) {
  const std::string frames = options.text("frames"), data = options.text("data");
  if (frames.empty() == data.empty())
    throw input_error("stream takes its frames from --data NAME or from --frames FILE; give {}",
                      frames.empty() ? "one of them" : "only one of them");
  for (const char* name : {"labelled", "frame-size", "mean", "deviation", "drop"}) {
    if (options.given(name) && frames.empty())
      throw input_error("--{} is for --frames, and --data {} knows its own; leave it out", name,
                        data);
  }
  if (options.given("set") && data.empty())
    throw input_error("--set is for --data, and --frames {} has no sets; leave it out", frames);
  if (options.real("deviation") == 0)
    throw input_error("--deviation 0: numbers are divided by it; give a value above 0");
  if (options.flag("logits") && options.text("output").empty())
    throw input_error("--logits needs --output FILE, where they go");
  if (options.flag("print") && options.flag("json"))
    throw input_error(
        "--print and --json exclude each other: both write to standard output; use --output FILE "
        "for the predictions");
  if (options.real("learning-rate") > 0) {
    refuse_unlabelled(options);
    refuse_contradictory_files(options);
    refuse_endless_schedule(options);
  } else {
    refuse_learning(options);
  }
}

}  // namespace

std::string StreamConfig::source() const {
  return frames.empty() ? "--data " + network.chain.data : "--frames " + frames;
}

void add_stream_options(cli::Options& options) {
  add_model_options(options, {64, 16, 0});
  add_module_options(options);
  options.add(
      "Frames",
      {cli::read_file("data",
                      "the images of fashion-mnist, of a folder with IDX files, or random: noise "
                      "around ten pictures",
                      "NAME"),
       word_option("set", "training", {"training", "test"}, "of --data: which images"),
       cli::read_file("frames",
                      "raw frames, little-endian float32 one behind the other: a file, a FIFO, or "
                      "- for standard input"),
       flag_option("labelled", "of --frames: before each frame its class, a little-endian int32"),
       whole_option("frame-size", 0, 0, kMostNumbers,
                    "of --frames: numbers in a frame; 0: as the embedding of --weights takes"),
       whole_option("classes", 0, 0, 1'000'000,
                    "classes to tell apart; 0: as the head of --weights or the labels of --data "
                    "say"),
       real_option("mean", "0", -1e300, 1e300,
                   "of --frames: is subtracted from each number; images of --data are normalised "
                   "as in training"),
       real_option("deviation", "1", 0, 1e300, "of --frames: then each number is divided by it"),
       whole_option("first-frame", 0, 0, kMany, "leave out the frames before this one, from 0"),
       whole_option("max-frames", 0, 0, kMany, "end after so many frames; 0: with the source"),
       flag_option("drop",
                   "of a FIFO or standard input: leave frames out where they come faster than the "
                   "ranks take them, and count them")});
  options.add(
      "Learning",
      {real_option("learning-rate", "0", 0, 1e6,
                   "learn from each frame, which needs its class, once it is predicted; 0: learn "
                   "nothing"),
       whole_option("warm-up", 0, 0, kMany, "updates in which the rate rises"), clip_norm_option(),
       cli::written_file("trace", file_format::kTrace,
                         "write loss and accuracy over time, HDF5; readable while it runs"),
       cli::written_file("save-weights", file_format::kWeights,
                         "write what was learned in PyTorch's layout, HDF5"),
       cli::written_file("checkpoint", file_format::kCheckpoint,
                         "where checkpoints go, at the end or a stop, for --restart"),
       whole_option("checkpoint-frames", 0, 0, kMany,
                    "frames between checkpoints, for which gradients under way are dropped; 0: "
                    "none before the end"),
       real_option("checkpoint-every", "0", 0, 1e6,
                   "minutes between checkpoints, the first after a second; 0: not by the clock"),
       cli::read_file("restart",
                      "go on from this checkpoint, of as many ranks; auto: the newest intact one, "
                      "if any")},
      {{"schedule", "constant", cli::offered(train::schedules())},
       {"optimiser", "adamw", cli::offered(train::optimisers())},
       {"loss", "cross-entropy", cli::offered(models::losses())}});
  options.add("Files",
              {cli::read_file("weights", "the network, HDF5 or safetensors; left out: by the seed"),
               cli::written_file("output", file_format::kTrace,
                                 "write the predictions, HDF5; readable while it runs"),
               flag_option("logits", "write the logits too"),
               flag_option("print",
                           "a line for each frame on standard output: its number, its class, and "
                           "its label where it has one"),
               real_option("max-hours", "0", 0, 1e6, "stop after so many hours; 0: no limit"),
               cli::force_option()});
}

StreamConfig read_stream_config(const OptionValues& options) {
  refuse_modules(options);
  refuse_contradictions(options);
  StreamConfig config;
  config.network.chain = read_chain_config(options);
  config.frames = options.text("frames");
  config.test_set = options.word("set") == "test";
  config.labelled = options.flag("labelled");
  config.frame_size = options.whole("frame-size");
  config.classes = options.whole("classes");
  config.mean = options.real("mean");
  config.deviation = options.real("deviation");
  config.first = options.whole("first-frame");
  config.most = options.whole("max-frames");
  config.drop = options.flag("drop");
  config.output = options.text("output");
  config.logits = options.flag("logits");
  config.prints = options.flag("print");
  config.optimiser = read_optimiser(options);
  config.schedule = read_schedule(options);
  config.schedule.total = config.most;
  config.trace = options.text("trace");
  // A file named STOP beside it ends the run.
  config.network.files.trace = config.output.empty() ? config.trace : config.output;
  config.network.files.checkpoint = options.text("checkpoint");
  config.network.files.restart = options.text("restart");
  config.frames_to_save = options.whole("checkpoint-frames");
  config.network.files.minutes_to_save = options.real("checkpoint-every");
  config.network.files.save_weights = options.text("save-weights");
  config.network.embedding = options.text("embedding");
  config.network.head = options.text("head");
  config.network.files.save_module = options.text("save-module");
  config.network.files.max_hours = options.real("max-hours");
  return config;
}

}  // namespace deeppcr::app
