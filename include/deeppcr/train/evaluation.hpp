#pragma once

#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/train/roc.hpp"

namespace deeppcr::train {

class Examples;

/// How a network did on a set; equal on all ranks.
struct Evaluation {
  double loss = 0;  ///< mean over the samples that the loss says something of
  Index samples = 0;
  bool scored = true;              ///< false: there is nothing to compare with, and no score
  int classes = 0;                 ///< 0: it classifies nothing, and has no accuracy
  Index counted = 0, correct = 0;  ///< labels: one a sample, or where each step has one, a step
  /// [classes, classes]: so many of class i taken for class j; empty above kMostTabulated classes.
  std::vector<Index> confusion;
  /// Of two classes and one label a sample: how much rather each is of class 1, [samples], and what
  /// that is worth; else empty.
  std::vector<double> scores;
  RocCurve roc;

  static constexpr int kMostTabulated = 100;
  /// No samples yet.
  static Evaluation of(int classes, Index samples);
  void count(int label, int taken);
  double accuracy() const;
  /// The curve of the scores of samples that have steps; none of no scores.
  void rank(const Examples& examples);
};

/// What a network says of each sample of a set; equal on all ranks.
struct Predictions {
  Index samples = 0;
  Index steps = 0;      ///< that it says something after: those of a sample, or 1: its last one
  int width = 0;        ///< numbers a step: of a target, or 1: the class
  Buffer<Real> values;  ///< [samples, steps, width]; zero behind a sample's end
};

}  // namespace deeppcr::train
