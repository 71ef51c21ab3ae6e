#include "models/torch/denoiser_check.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "models/torch/torch_denoiser_file.hpp"
#include "models/torch/trial.hpp"

namespace deeppcr::models {

namespace {

using trial::kSamples;

class DenoiserCheck {
 public:
  DenoiserCheck(const TorchDenoiserFile& file, std::int64_t times)
      : file_(file),
        n_(file.width()),
        times_{0, (times - 1) / 2, times - 1},
        conditions_(conditions_of(file.facts())),
        embeddings_(trial::normal(kSamples * file.embedding_width(), 1)),
        x_(trial::normal(kSamples * n_, 2)) {}

  void run() {
    const Buffer<Real> out = values(x_);
    if (!trial::finite(out))
      file_.refuse("it makes NaN or infinite predictions of normally distributed states");
    if (differs(values(x_), out.data()))
      file_.refuse(
          "it makes other predictions when it is called again with the same states: dropout that "
          "is on, noise, or a memory of its own; call module.eval(), or make it a function of its "
          "arguments");
    for (const Index r : {Index{0}, kSamples - 1})
      if (differs(alone(r), out.data() + r * n_))
        file_.refuse(
            "it makes another prediction of a sample alone than of the same one among others: "
            "batch normalisation that still learns, a batch size that was traced in, one time or "
            "condition for all rows, or samples that are mixed");
    check_derivatives(out);
  }

 private:
  using Three = std::array<std::int64_t, kSamples>;

  static Three conditions_of(const DenoiserFacts& facts) {
    if (facts.condition == Condition::embedding) return {0, 1, 2};
    return {0, std::max(facts.classes - 1, 0), 0};
  }
  /// Rows from the first on.
  DeepPcrRows rows(Index first, Index count) const {
    const bool conditioned = file_.facts().condition != Condition::none;
    return {count, times_.data() + first, conditioned ? conditions_.data() + first : nullptr,
            embeddings_.data(), kSamples};
  }
  Buffer<Real> values(const Buffer<Real>& x) const {
    Buffer<Real> out(x.size());
    file_.require(file_.predict(rows(0, kSamples), x.data(), out.data()));
    return out;
  }
  Buffer<Real> alone(Index r) const {
    Buffer<Real> out(n_);
    file_.require(file_.predict(rows(r, 1), x_.data() + r * n_, out.data()));
    return out;
  }
  Buffer<Real> product(Direction direction, const Buffer<Real>& v) const {
    Buffer<Real> w(v.size());
    file_.require(file_.product(rows(0, kSamples), x_.data(), direction, 1, v.data(), w.data()));
    return w;
  }
  double rounding() const { return file_.facts().rounding; }
  bool differs(const Buffer<Real>& found, const Real* expected) const {
    return trial::differs(found, expected, rounding());
  }

  /// <u, A v> = <A^T u, v>, and A v against a difference of values.
  void check_derivatives(const Buffer<Real>& out) const {
    const Buffer<Real> u = trial::normal(out.size(), 3), v = trial::normal(out.size(), 4);
    const Buffer<Real> Av = product(Direction::forward, v), Atu = product(Direction::backward, u);
    const double size = trial::norm(u) * trial::norm(Av) + trial::norm(Atu) * trial::norm(v);
    const double apart = std::abs(trial::dot(u, Av) - trial::dot(Atu, v));
    if (!(apart <= trial::kRoundings * rounding() * size))
      file_.refuse(
          "its derivatives forward and backward are not those of one function; a custom operation "
          "without a proper derivative?");
    const double h = trial::difference_step(rounding());
    Buffer<Real> error = values(trial::moved(x_, h, v));
    const Buffer<Real> below = values(trial::moved(x_, -h, v));
    for (Index i = 0; i < error.size(); ++i) error[i] = (error[i] - below[i]) / (2 * h) - Av[i];
    const double allowed = trial::kDifference * (trial::norm(Av) + trial::norm(out));
    if (!(trial::norm(error) <= allowed))
      file_.refuse(
          "its derivative is not that of its values: a part is cut off by detach(), no_grad() or "
          ".data");
  }

  const TorchDenoiserFile& file_;
  Index n_;
  Three times_, conditions_;
  Buffer<Real> embeddings_, x_;
};

}  // namespace

void check_torch_denoiser(const TorchDenoiserFile& file, std::int64_t times) {
  DenoiserCheck(file, times).run();
}

}  // namespace deeppcr::models
