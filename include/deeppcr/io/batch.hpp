#pragma once

#include <optional>
#include <string>
#include <vector>

#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::io {

/// B samples, equal on all ranks.
struct Batch {
  Index samples = 0;
  Index features = 0;
  std::vector<Real> inputs;   ///< [B, features]
  std::vector<Index> labels;  ///< [B]; empty where there are none
};

/// /inputs [B, features], or [B, ..] row by row, of an HDF5 file, finite and one at least; where
/// there, /labels [B], whole numbers from 0 that fit into an int. Rank 0 reads for all. Collective.
/// @throws Error (on all ranks) that names the first entry that is not so
Batch read_batch(const parallel::Communicator& comm, const std::string& path);

/// Images first .. first + samples - 1 of a set, or all.
struct ImageSelection {
  bool training_set = true;  ///< train-images-idx3-ubyte (or .idx3-ubyte), else t10k-..
  std::optional<Index> samples = 1;
  Index first = 0;
};

/// The folder of a set of images: `name` itself where it is a folder, else `name` below
/// $DEEPPCR_DATA or a standard folder such as /usr/share/datasets. @throws Error that lists where
/// it looked
std::string find_image_folder(const std::string& name);

/// Reads images and labels in IDX format (MNIST's), plain or gzipped. Rank 0 reads, all get the
/// batch: inputs in [0, 1], rows one after another. Collective.
/// @throws Error (on all ranks) for a missing, truncated, oversized or malformed file, or for too
/// few images Source: http://yann.lecun.com/exdb/mnist
Batch read_images(const parallel::Communicator& comm, const std::string& name,
                  const ImageSelection& selection);

/// A set of labelled images as it lies in its files.
struct ImageSet {
  Index height = 0;
  Index width = 0;
  std::vector<unsigned char> pixels;  ///< [count, height, width]
  std::vector<unsigned char> labels;  ///< [count]
};
/// The same images as they are stored, read by this rank alone; both files are checked as a whole.
/// @throws Error (this rank)
ImageSet read_image_set(const std::string& name, const ImageSelection& selection);

/// An IDX file of unsigned bytes.
struct IdxFile {
  std::vector<Index> sizes;             ///< of its axes
  std::vector<unsigned char> elements;  ///< rows of the first axis, one after another
};
/// @throws Error (this rank) where it has not so many axes, or is not whole
IdxFile read_idx(const std::string& path, int axes);

}  // namespace deeppcr::io
