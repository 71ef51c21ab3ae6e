#include "app/train_diffusion.hpp"

#include <algorithm>

#include "app/examples.hpp"
#include "app/files.hpp"
#include "app/training.hpp"
#include "app/training_report.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/train/diffusion_training.hpp"

namespace deeppcr::app {
namespace {

OptionSpec hidden_option() {
  return whole_option("hidden", 256, 1, 32768, "numbers in a hidden layer");
}

OptionSpec average_option() {
  return real_option("average", "0.999", 0, 1,
                     "memory of the moving average of the weights, which is what is used");
}

std::vector<OptionSpec> autoencoder_options() {
  return {
      hidden_option(), average_option(),
      whole_option("hidden-layers", 2, 1, 64, "hidden layers in each half"),
      real_option("jitter", "0.1", 0, 10, "deviation of the noise on latents while it is trained")};
}

std::vector<OptionSpec> denoiser_options() {
  return {text_option("autoencoder", "", "checkpoint of the trained autoencoder", "FILE"),
          hidden_option(),
          average_option(),
          whole_option("blocks", 4, 1, 256, "residual blocks"),
          whole_option("frequencies", 32, 1, 4096, "of the time embedding"),
          flag_option("conditional", "knows the class of a sample"),
          word_option("noise-schedule", "linear", {"linear", "cosine"},
                      "how noise grows with time: linear, cosine"),
          whole_option("noise-steps", 1000, 1, 1'000'000, "times T")};
}

int whole(const OptionValues& own, const char* name) { return static_cast<int>(own.whole(name)); }

/// What is about chains, or their losses.
void refuse_chain_options(const OptionValues& options, const TrainConfig& config) {
  if (config.sharing.methods.pipeline)
    throw input_error("--pipeline {} is for chains; --model {} has no steps to split; leave it out",
                      options.text("pipeline"), config.chain.model.model);
  if (config.local.own_gradients)
    throw input_error(
        "--clip local is for chains; --model {} keeps an average of the weights that all ranks "
        "share; leave it out",
        config.chain.model.model);
  if (!config.binary.positives.empty())
    throw input_error("--positives is for chains; --model {} has no two classes; leave it out",
                      config.chain.model.model);
  refuse_sequence_options(options, config.chain.model);
  std::vector<std::string> of_losses{"loss"};
  for (const models::LossEntry& loss : models::losses())
    for (const OptionSpec& option : loss.options) of_losses.push_back(option.name);
  for (const std::string& name : of_losses) {
    if (options.given(name))
      throw input_error("--{} is for chains; --model {} has a loss of its own; leave it out", name,
                        config.chain.model.model);
  }
  for (const char* name : {"weights", "save-weights", "input"}) {
    if (!options.text(name).empty())
      throw input_error("--{} is for chains; the networks of --model {} are in their checkpoint",
                        name, config.chain.model.model);
  }
}

/// Batch, epochs and rate that suit these models, where the user has not said.
TrainConfig read_config(const OptionValues& options) {
  refuse_mixed_samples(options);
  TrainConfig config = read_train_config(options);
  const bool denoiser = config.chain.model.model == "denoiser";
  const auto left_out = [&](const char* name) { return !options.given(name); };
  if (left_out("batch")) config.chain.batch = denoiser ? 512 : 256;
  if (left_out("epochs")) config.epochs = denoiser ? 170 : 30;
  if (left_out("learning-rate")) config.schedule.peak = 1e-3;
  OptionValues& rule = config.optimiser.own;
  if (rule.has("weight-decay") && !rule.given("weight-decay")) rule.set("weight-decay", 0);
  if (left_out("warm-up")) config.schedule.warm_up = 500;
  if (left_out("evaluate-every")) config.epochs_per_evaluation = 0;
  config.chain.model.steps = 1;
  config.sharing.methods.forward = config.sharing.methods.backward = "sequential";
  refuse_chain_options(options, config);
  const std::string autoencoder = options.text("autoencoder");
  if (denoiser && autoencoder.empty())
    throw input_error("--model denoiser needs --autoencoder FILE, whose latents it denoises");
  return config;
}

/// Whatever is trained: on these ranks and images, with the loop around it.
struct Job {
  const cli::Context& context;
  TrainConfig config;
  parallel::ProcessGrid grid{context.comm, 1, context.comm.size()};
  ImageSets sets = load_image_sets(grid, config);

  /// score: mean loss of the averaged network on the test images; called at the end of the
  /// training.
  int run(train::Trainable& model, const std::function<double()>& score) const {
    const train::Sharing sharing{1, context.comm.size(), config.sharing.methods, "", ""};
    const auto evaluate = [&] {
      train::Evaluation evaluation;
      evaluation.loss = score();
      evaluation.samples = sets.test.count();
      return evaluation;
    };
    return print(context, config, sharing,
                 run_training(context, grid, config, model, sets.training,
                              parallel::BlockLayout::balanced(1, 1), evaluate));
  }
};

int train_autoencoder(Job& job, const OptionValues& options) {
  const models::ModelOptions& named = job.config.chain.model;
  const OptionValues own = options.part(autoencoder_options());
  models::Autoencoder model({static_cast<int>(job.sets.training.features()), named.width,
                             whole(own, "hidden"), whole(own, "hidden-layers")},
                            named.seed);
  train::AutoencoderTraining::Options wanted;
  wanted.jitter = own.real("jitter");
  wanted.memory = own.real("average");
  wanted.seed = named.seed;
  train::AutoencoderTraining training(job.grid, model, job.sets.training, wanted);
  return job.run(training, [&] { return training.finish(job.sets.test); });
}

int train_denoiser(Job& job, const OptionValues& options) {
  const OptionValues own = options.part(denoiser_options());
  const std::string& path = own.word("autoencoder");
  const models::Autoencoder autoencoder = read_autoencoder(job.context.comm, path);
  require_pixels(autoencoder, path, job.sets.training, job.config.chain.data);
  models::ModelOptions& named = job.config.chain.model;
  if (options.given("width") && named.width != autoencoder.shape().latent) {
    throw input_error("--width {}: the latents of {} have {} numbers; leave it out", named.width,
                      path, autoencoder.shape().latent);
  }
  named.width = autoencoder.shape().latent;
  models::DenoiserShape shape;
  shape.latent = named.width;
  shape.hidden = whole(own, "hidden");
  shape.blocks = whole(own, "blocks");
  shape.frequencies = whole(own, "frequencies");
  shape.classes = own.flag("conditional") ? job.sets.training.classes() : 0;
  if (shape.classes > 0) check_examples({}, shape.classes, job.config, "test", job.sets.test);
  const models::NoiseSchedule schedule(models::schedule_from(own.word("noise-schedule")),
                                       whole(own, "noise-steps"));
  models::Denoiser model(shape, schedule, named.seed);
  const train::LabelledLatents latents = train::encode_all(autoencoder, job.sets.training);
  const train::LabelledLatents others = train::encode_all(autoencoder, job.sets.test);
  train::DenoiserTraining training(job.grid, model, latents, own.real("average"), named.seed);
  return job.run(training, [&] { return training.score(others); });
}

}  // namespace

const std::vector<cli::OfferedEntry>& diffusion_models() {
  static const std::vector<cli::OfferedEntry> models{
      {"autoencoder", "latents of images, --width numbers each", autoencoder_options()},
      {"denoiser", "noise predicted in the latents of an autoencoder", denoiser_options()}};
  return models;
}

bool is_diffusion_model(const std::string& model) {
  const auto& models = diffusion_models();
  return std::any_of(models.begin(), models.end(),
                     [&](const cli::OfferedEntry& entry) { return entry.name == model; });
}

void require_pixels(const models::Autoencoder& autoencoder, const std::string& path,
                    const train::Images& images, const std::string& data) {
  if (autoencoder.shape().pixels == images.features()) return;
  throw input_error("{}: the autoencoder takes {} pixels, but the images of {} have {}", path,
                    autoencoder.shape().pixels, data, images.features());
}

int train_diffusion(const OptionValues& options, const cli::Context& context) {
  Job job{context, read_config(options)};
  const bool denoiser = job.config.chain.model.model == "denoiser";
  return denoiser ? train_denoiser(job, options) : train_autoencoder(job, options);
}

}  // namespace deeppcr::app
