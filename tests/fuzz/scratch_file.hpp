#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "fuzz_target.hpp"

namespace deeppcr::fuzz {

/// Bytes as a file in memory, for parsers that open a path.
class ScratchFile {
 public:
  ScratchFile(const std::uint8_t* data, std::size_t size)
      : descriptor_(::memfd_create("deeppcr-fuzz", 0)) {
    DEEPPCR_FUZZ_CHECK(descriptor_ >= 0);
    DEEPPCR_FUZZ_CHECK(::write(descriptor_, data, size) == static_cast<ssize_t>(size));
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() { ::close(descriptor_); }

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace deeppcr::fuzz
