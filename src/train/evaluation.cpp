#include "deeppcr/train/evaluation.hpp"

#include <cmath>

#include "deeppcr/train/examples.hpp"

namespace deeppcr::train {

Evaluation Evaluation::of(int classes, Index samples) {
  Evaluation evaluation;
  evaluation.samples = samples;
  evaluation.classes = classes;
  if (classes <= kMostTabulated)
    evaluation.confusion.assign(static_cast<std::size_t>(Index{classes} * classes), 0);
  return evaluation;
}

void Evaluation::count(int label, int taken) {
  ++counted;
  correct += label == taken ? 1 : 0;
  const auto row = static_cast<std::size_t>(label) * static_cast<std::size_t>(classes);
  if (!confusion.empty()) ++confusion[row + static_cast<std::size_t>(taken)];
}

double Evaluation::accuracy() const {
  if (classes == 0) return std::nan("");
  return counted > 0 ? static_cast<double>(correct) / static_cast<double>(counted) : 0;
}

void Evaluation::rank(const Examples& examples) {
  std::vector<double> ranked;
  std::vector<bool> positive;
  for (std::size_t s = 0; s < scores.size(); ++s) {
    const auto sample = static_cast<Index>(s);
    if (examples.has_lengths() && examples.length(sample) == 0) continue;
    ranked.push_back(scores[s]);
    positive.push_back(examples.label(sample) == 1);
  }
  roc = roc_curve(ranked, positive);
}

}  // namespace deeppcr::train
