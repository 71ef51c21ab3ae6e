#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/sampling_model.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/networks.hpp"
#include "deeppcr/io/sampler_file.hpp"
#include "deeppcr/models/diffusion_files.hpp"
#include "deeppcr/models/scheduled_chain.hpp"

namespace deeppcr::app {
namespace {

/// That every spacing of a sampler allows. DPM-Solver's times leave one out but for trailing ones.
int most_steps(const models::SamplerConfig& config) {
  const bool all =
      config.kind != models::SamplerKind::dpm_solver || config.spacing == models::Spacing::trailing;
  return std::max(1, config.train_steps - (all ? 0 : 1));
}

const char* name(models::SamplerKind kind) {
  switch (kind) {
    case models::SamplerKind::ddpm:
      return "DDPM";
    case models::SamplerKind::ddim:
      return "DDIM";
    case models::SamplerKind::dpm_solver:
      return "DPM-Solver++";
  }
  return "";
}

/// A file as it is, on every rank.
std::string read_text(const parallel::Communicator& comm, const std::string& option,
                      const std::string& path) {
  std::string text;
  parallel::agree(comm, [&] {
    std::error_code ignored;
    std::ifstream file(path, std::ios::binary);
    if (file && std::filesystem::is_regular_file(path, ignored))
      text.assign(std::istreambuf_iterator<char>(file), {});
    if (text.empty())
      throw local_input_error("--{} {}: no such file, or it is empty or cannot be read", option,
                              path);
  });
  return text;
}

std::uint32_t checksum_of(const std::string& bytes) {
  Buffer<Real> padded(static_cast<Index>(bytes.size() / sizeof(Real)) + 1);
  std::memcpy(padded.data(), bytes.data(), bytes.size());
  return io::checksum(padded.data(), padded.size());
}

/// C x H x W: one channel grey, three in colour, others below each other. Other shapes: a square if
/// there is one, else one row.
ImageShape image_of(const std::vector<Index>& shape) {
  if (shape.size() == 3 && (shape[0] == 1 || shape[0] == 3)) return {shape[0], shape[1], shape[2]};
  if (shape.size() == 3) return {1, shape[0] * shape[1], shape[2]};
  if (shape.size() == 2) return {1, shape[0], shape[1]};
  return square_or_row(numbers_in(shape));
}

/// What the options and the files say, before the network is opened.
class PublishedModel final : public SamplingModel {
 public:
  PublishedModel(const parallel::Communicator& comm, GenerateConfig& config)
      : batch_(config.run.chain.batch), seed_(config.sampler.seed) {
    const std::string text = read_text(comm, "sampler-config", config.published.sampler_config);
    read_sampler(comm, text, config);
    open_network(comm, config);
    read_moments(comm, config.published.moments);
    if (!config.published.decoder.empty()) {
      parallel::agree(comm, [&] {
        decoder_ = models::make_decoder("decoder", config.published.decoder, options_.precision,
                                        facts_.shape);
      });
    }
    about_ = fmt::format("{}, {} steps, network in {}{}", sampler_name_, steps_.size(),
                         is_single() ? "float32" : "float64",
                         conditions_.guidance == 1
                             ? std::string()
                             : fmt::format(", guidance {:g}", conditions_.guidance));
    sum_up(comm, text, config);
  }

  int sample_width() const override { return network_->width(); }
  int state_width() const override {
    return (models::use_previous(steps_) ? 2 : 1) * sample_width();
  }
  std::unique_ptr<models::SamplerChain> make_chain() const override {
    return std::make_unique<models::ScheduledChain>(*network_, steps_, batch_, seed_, moments_);
  }
  Index checksum() const override { return checksum_; }
  bool is_single() const override { return facts_.rounding > 1e-12; }
  std::string about() const override { return about_; }

  ImageShape image_shape() const override {
    return image_of(decoder_.end ? decoder_.shape : facts_.shape);
  }
  /// Networks of pictures have them from -1 to 1.
  void decode(ConstState samples, State pictures) const override {
    if (decoder_.end) {
      decoder_.end->forward(samples, pictures);
    } else {
      std::copy(samples.begin(), samples.end(), pictures.begin());
    }
    for (Real& pixel : pictures) pixel = (pixel + 1) / 2;
  }
  void encode(const std::string& given, ConstState pictures, State samples) const override {
    if (decoder_.end)
      throw input_error("{}: there is a decoder of this network's latents, but no encoder", given);
    if (pictures.extent(1) != samples.extent(1)) {
      throw input_error("{}: its images have {} pixels, samples of this network {}", given,
                        pictures.extent(1), samples.extent(1));
    }
    for (Index i = 0; i < samples.size(); ++i) samples.data()[i] = 2 * pictures.data()[i] - 1;
  }

 private:
  void read_sampler(const parallel::Communicator& comm, const std::string& text,
                    GenerateConfig& config) {
    const io::SamplerFile file = io::read_sampler_config(text, config.published.sampler_config);
    if (!file.ignored.empty() && comm.is_root())
      log::warn("{}: fields that its sampler does not have: {}", config.published.sampler_config,
                fmt::join(file.ignored, ", "));
    options_.times = file.config.train_steps;
    if (!config.published.steps_given)
      config.sampler.steps = std::min(config.sampler.steps, most_steps(file.config));
    config.run.chain.model.steps = config.sampler.steps;
    const bool ddim = file.config.kind == models::SamplerKind::ddim;
    const double eta = std::max(0.0, config.published.eta);
    steps_ = models::scheduled_steps(file.config, config.sampler.steps, eta);
    sampler_name_ = name(file.config.kind);
    config.sampler.eta = ddim ? eta : file.config.kind == models::SamplerKind::ddpm ? 1 : 0;
    if (ddim) sampler_name_ += fmt::format(", eta {:g}", eta);
  }

  void open_network(const parallel::Communicator& comm, const GenerateConfig& config) {
    const PublishedConfig& published = config.published;
    options_.file = config.denoiser;
    options_.precision = published.precision;
    options_.shape = published.shape;
    options_.classes = published.classes;
    if (!published.embedding.empty()) {
      io::Embeddings read = io::read_embeddings(comm, published.embedding, batch_);
      options_.embedding_shape = read.shape;
      conditions_.embeddings = std::move(read.values);
      conditions_.null_embedding = std::move(read.of_none);
    }
    parallel::agree(comm, [&] { facts_ = models::look_at_denoiser(options_); });
    conditions_.labels = labels_of(config, facts_.classes);
    conditions_.guidance = published.guidance;
    parallel::agree(comm, [&] { network_ = models::make_denoiser(options_, conditions_); });
  }

  void read_moments(const parallel::Communicator& comm, const std::string& path) {
    if (path.empty()) return;
    moments_.mean = io::read_numbers(comm, path, "/mean", sample_width());
    moments_.variance = io::read_numbers(comm, path, "/variance", sample_width());
  }

  void sum_up(const parallel::Communicator& comm, const std::string& sampler_text,
              const GenerateConfig& config) {
    const std::uint32_t network = io::file_checksum(comm, config.denoiser);
    const std::string all = fmt::format(
        "{} {} {} {} {} {} {} {}", sampler_text, about_, network, facts_.null_class,
        conditions_.guidance, fmt::join(conditions_.labels, " "),
        fmt::join(conditions_.embeddings, " "), fmt::join(conditions_.null_embedding, " "));
    checksum_ = checksum_of(all);
  }

  Index batch_;
  std::uint64_t seed_;
  models::DenoiserOptions options_;
  models::DenoiserConditions conditions_;
  models::DenoiserFacts facts_;
  models::Decoder decoder_;
  models::Moments moments_;
  std::unique_ptr<models::DenoisingNetwork> network_;
  std::vector<models::ScheduledStep> steps_;
  std::string sampler_name_, about_;
  Index checksum_ = 0;
};

}  // namespace

std::unique_ptr<SamplingModel> read_published_model(const parallel::Communicator& comm,
                                                    GenerateConfig& config) {
  return std::make_unique<PublishedModel>(comm, config);
}

}  // namespace deeppcr::app
