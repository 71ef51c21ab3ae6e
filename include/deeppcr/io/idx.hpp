#pragma once

#include <string>
#include <vector>

#include "deeppcr/io/batch.hpp"

namespace deeppcr::io {

/// Images first .. first + samples - 1 of a set.
struct ImageSelection {
  bool training_set = true;  ///< train-images-idx3-ubyte (or .idx3-ubyte), else t10k-..
  Index samples = 1;
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
/// The images of a set, those after the first `samples` left out unless that is 0; read by this
/// rank alone. Both files are checked as a whole. @throws Error (this rank) as read_images() does
ImageSet read_image_set(const std::string& name, bool training_set, Index samples);

/// An IDX file's header: sizes of its axes. Elements are unsigned bytes.
struct IdxHeader {
  std::vector<Index> sizes;
};
/// Reads an IDX file with `axes` axes and returns rows `wanted` (positions on the first axis, any
/// order), one after another. The whole file is checked. @throws Error (this rank)
std::vector<unsigned char> read_idx(const std::string& path, int axes,
                                    const std::vector<Index>& wanted, IdxHeader& header);
/// The header alone.
IdxHeader read_idx_header(const std::string& path, int axes);

}  // namespace deeppcr::io
