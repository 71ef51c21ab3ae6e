#include "deeppcr/app/train_diffusion.hpp"

#include <algorithm>

#include "deeppcr/app/diffusion_files.hpp"
#include "deeppcr/app/network.hpp"
#include "deeppcr/app/option_values.hpp"
#include "deeppcr/app/run_setup.hpp"
#include "deeppcr/app/storage.hpp"
#include "deeppcr/app/train_report.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/train/diffusion_training.hpp"

namespace deeppcr::app {
namespace {

namespace po = boost::program_options;

constexpr int kMostHidden = 32768;

int whole(const po::variables_map& options, const char* name) {
  return static_cast<int>(options[name].as<Index>());
}

/// Batch, epochs and rate that suit these models, where the user has not said.
TrainConfig read_config(const po::variables_map& options) {
  TrainConfig config = read_train_config(options);
  const bool denoiser = config.chain.model.model == "denoiser";
  const auto left_out = [&](const char* name) { return options[name].defaulted(); };
  if (left_out("batch")) config.chain.batch = denoiser ? 512 : 256;
  if (left_out("epochs")) config.epochs = denoiser ? 170 : 30;
  if (left_out("learning-rate")) config.schedule.peak = 1e-3;
  if (left_out("weight-decay")) config.optimiser.weight_decay = 0;
  if (left_out("warm-up")) config.schedule.warm_up = 500;
  if (left_out("evaluate-every")) config.epochs_per_evaluation = 0;
  config.chain.model.steps = 1;
  config.sharing.solver.forward = config.sharing.solver.backward = "sequential";
  const std::string autoencoder = options["autoencoder"].as<std::string>();
  if (denoiser && autoencoder.empty())
    throw input_error("--model denoiser needs --autoencoder FILE, whose latents it denoises");
  if (!denoiser && !autoencoder.empty())
    throw input_error("--autoencoder {} goes with --model denoiser; leave it out", autoencoder);
  for (const char* name : {"weights", "save-weights"}) {
    if (!options[name].as<std::string>().empty())
      throw input_error("--{} is for chains; the networks of --model {} are in their checkpoint",
                        name, config.chain.model.model);
  }
  return config;
}

/// Whatever is trained: the trainer around it, the loop, the report.
struct Job {
  const Context& context;
  TrainConfig config;
  parallel::ProcessGrid grid;
  train::Images images, test_images;

  Job(const Context& where, const TrainConfig& what)
      : context(where),
        config(what),
        grid(where.comm, 1, where.comm.size()),
        images(load_images(grid, what, true)),
        test_images(load_images(grid, what, false)) {}

  /// score: mean loss of the averaged network on the test images; called at the end of the
  /// training.
  int run(train::Trainable& model, const std::function<double()>& score);
};

int Job::run(train::Trainable& model, const std::function<double()>& score) {
  train::Trainer::Options options;
  options.optimiser = config.optimiser;
  options.schedule = config.schedule;
  options.samples = images.count();
  options.batch = config.chain.batch;
  options.seed = config.chain.model.seed;
  options.schedule.total = config.epochs * (images.count() / std::max<Index>(1, options.batch));
  train::Trainer trainer(grid, model, options);
  const models::ModelOptions& named = config.chain.model;
  TrainingPlan plan;
  plan.files = config.files;
  plan.updates_to_save = config.updates_to_save;
  plan.last_update = config.epochs * trainer.steps_per_epoch();
  if (config.max_updates > 0) plan.last_update = std::min(plan.last_update, config.max_updates);
  plan.model = {named.model, named.steps, named.width, config.chain.batch,
                static_cast<Index>(named.seed)};
  plan.first_steps = {0, 1};
  plan.samples_per_update = config.chain.batch;
  plan.updates_per_evaluation = config.epochs_per_evaluation * trainer.steps_per_epoch();
  plan.evaluate = [&] {
    train::Evaluation evaluation;
    evaluation.loss = score();
    evaluation.samples = test_images.count();
    return evaluation;
  };
  TrainReport report;
  report.config = config;
  report.ranks = context.comm.size();
  report.sharing.depth_ranks = 1;
  report.sharing.data_ranks = report.ranks;
  report.sharing.solver = config.sharing.solver;
  report.result = run_training(context, grid, model, trainer, plan);
  report.peak_bytes_per_rank = context.comm.max(static_cast<Index>(peak_resident_bytes()));
  return finish(report, context);
}

int train_autoencoder(Job& job, const po::variables_map& options) {
  const models::ModelOptions& named = job.config.chain.model;
  models::Autoencoder model({static_cast<int>(job.images.features()), named.width,
                             whole(options, "hidden"), whole(options, "hidden-layers")},
                            named.seed);
  train::AutoencoderTraining::Options wanted;
  wanted.jitter = options["jitter"].as<double>();
  wanted.memory = options["average"].as<double>();
  wanted.seed = named.seed;
  train::AutoencoderTraining training(job.grid, model, job.images, wanted);
  return job.run(training, [&] { return training.finish(job.test_images); });
}

train::DenoiserTraining::Data encoded(const models::Autoencoder& autoencoder,
                                      const train::Images& images) {
  train::DenoiserTraining::Data data;
  data.latents = train::encode_all(autoencoder, images);
  for (Index s = 0; s < images.count(); ++s) data.labels.push_back(images.label(s));
  return data;
}

int train_denoiser(Job& job, const po::variables_map& options) {
  const std::string path = options["autoencoder"].as<std::string>();
  const models::Autoencoder autoencoder = storage::read_autoencoder(job.context.comm, path);
  if (autoencoder.shape().pixels != job.images.features()) {
    throw input_error("--autoencoder {}: it takes {} pixels, but the images of {} have {}", path,
                      autoencoder.shape().pixels, job.config.chain.data, job.images.features());
  }
  const bool given = !options["width"].defaulted();
  models::ModelOptions& named = job.config.chain.model;
  if (given && named.width != autoencoder.shape().latent) {
    throw input_error("--width {}: the latents of {} have {} numbers; leave it out", named.width,
                      path, autoencoder.shape().latent);
  }
  named.width = autoencoder.shape().latent;
  models::DenoiserShape shape;
  shape.latent = named.width;
  shape.hidden = whole(options, "hidden");
  shape.blocks = whole(options, "blocks");
  shape.frequencies = whole(options, "frequencies");
  shape.classes = options["conditional"].as<bool>() ? job.images.classes() : 0;
  const models::NoiseSchedule schedule(
      models::schedule_from(options["noise-schedule"].as<std::string>()),
      whole(options, "noise-steps"));
  models::Denoiser model(shape, schedule, named.seed);
  const train::DenoiserTraining::Data data = encoded(autoencoder, job.images);
  const train::DenoiserTraining::Data others = encoded(autoencoder, job.test_images);
  train::DenoiserTraining training(job.grid, model, data, options["average"].as<double>(),
                                   named.seed);
  return job.run(training, [&] { return training.score(others); });
}

}  // namespace

const std::vector<std::string>& diffusion_models() {
  static const std::vector<std::string> names{"autoencoder", "denoiser"};
  return names;
}

bool is_diffusion_model(const std::string& model) {
  const auto& names = diffusion_models();
  return std::find(names.begin(), names.end(), model) != names.end();
}

void add_diffusion_options(po::options_description& options) {
  po::options_description group("Autoencoder and denoiser (--width: of the latents)", kHelpColumns);
  auto add = group.add_options();
  add("autoencoder", text("FILE"), "denoiser: checkpoint of the trained autoencoder");
  add("hidden", whole_number("hidden", 256, 1, kMostHidden), "numbers in a hidden layer");
  add("hidden-layers", whole_number("hidden-layers", 2, 1, 64), "autoencoder: in each half");
  add("blocks", whole_number("blocks", 4, 1, 256), "denoiser: residual blocks");
  add("frequencies", whole_number("frequencies", 32, 1, 4096), "denoiser: of the time embedding");
  add("conditional", flag(), "denoiser: knows the class of a sample");
  add("noise-schedule", one_of("noise-schedule", "linear", {"linear", "cosine"}),
      "denoiser: how noise grows with time");
  add("noise-steps", whole_number("noise-steps", 1000, 1, 1'000'000), "denoiser: times T");
  add("jitter", real_number("jitter", "0.1", 0, 10),
      "autoencoder: deviation of the noise on latents while it is trained");
  add("average", real_number("average", "0.999", 0, 1),
      "memory of the moving average of the weights, which is what is used");
  options.add(group);
}

int train_diffusion(const po::variables_map& options, const Context& context) {
  if (!storage::unavailable().empty()) {
    throw input_error("--model {}: {}", options["model"].as<std::string>(), storage::unavailable());
  }
  const TrainConfig config = read_config(options);
  check_writable(context.comm, "trace", config.files.trace);
  check_writable(context.comm, "checkpoint", config.files.checkpoint);
  Job job(context, config);
  const bool denoiser = config.chain.model.model == "denoiser";
  return denoiser ? train_denoiser(job, options) : train_autoencoder(job, options);
}

}  // namespace deeppcr::app
