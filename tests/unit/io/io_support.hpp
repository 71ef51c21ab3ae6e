#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/provenance.hpp"
#include "deeppcr/sequence/trajectory.hpp"
#include "support/environment.hpp"

namespace deeppcr::test {

/// A folder of its own for one test, the same on all ranks, gone at the end. Collective.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    if (world().is_root()) {
      std::string name = (std::filesystem::temp_directory_path() / "deeppcr-io-XXXXXX").string();
      path_ = mkdtemp(name.data());
    }
    world().broadcast(path_, 0);
  }
  ~TemporaryFolder() {
    world().barrier();
    std::error_code ignored;
    if (world().is_root()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Runs `body` on rank 0 while the others wait.
template <typename Body>
void on_root(Body&& body) {
  parallel::agree(world(), [&] {
    if (world().is_root()) body();
  });
}

/// The text of the Error that body throws; empty where it throws none.
template <typename Body>
std::string error_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

#define EXPECT_ERROR(body, text)                                                        \
  do {                                                                                  \
    const std::string deeppcr_error = ::deeppcr::test::error_of([&] { body; });         \
    EXPECT_NE(deeppcr_error.find(text), std::string::npos) << "got: " << deeppcr_error; \
  } while (false)

inline std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// The names in a folder, sorted.
inline std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// A number that tells where it belongs: state, sample, component.
inline Real mark(Index state, Index sample, Index component) {
  return static_cast<Real>(1000 * state + 10 * sample + component) + 0.5;
}

/// Gives every state of a trajectory, z_0 too, its marks plus `shift`.
inline void fill_with_marks(sequence::Trajectory& trajectory, Real shift = 0) {
  const StepSet local = trajectory.local_steps();
  for (Index b = 0; b < trajectory.batch(); ++b) {
    for (int i = 0; i < trajectory.width(); ++i) {
      trajectory.input()(b, i) = mark(0, b, i) + shift;
      for (Index row = 0; row < local.size(); ++row) {
        trajectory.states()(row, b, i) = mark(local.step(row) + 1, b, i) + shift;
      }
    }
  }
  trajectory.touched();
}

/// Number of entries on this rank, z_0 not counted, that differ from marks plus `shift`.
inline Index wrong_states(const sequence::Trajectory& trajectory, Real shift = 0) {
  Index wrong = 0;
  const StepSet local = trajectory.local_steps();
  for (Index row = 0; row < local.size(); ++row) {
    for (Index b = 0; b < trajectory.batch(); ++b) {
      for (int i = 0; i < trajectory.width(); ++i) {
        wrong += trajectory.states()(row, b, i) != mark(local.step(row) + 1, b, i) + shift;
      }
    }
  }
  return wrong;
}

inline Index wrong_input(const sequence::Trajectory& trajectory, Real shift = 0) {
  Index wrong = 0;
  for (Index b = 0; b < trajectory.batch(); ++b) {
    for (int i = 0; i < trajectory.width(); ++i) {
      wrong += trajectory.input()(b, i) != mark(0, b, i) + shift;
    }
  }
  return wrong;
}

inline io::Provenance example_provenance(const parallel::Communicator& comm) {
  io::Provenance provenance = io::collect_provenance(comm);
  provenance.emplace_back("command_line", "deeppcr solve --steps 7");
  provenance.emplace_back("options_set", std::vector<std::string>{"steps = 7", "model = resnet"});
  provenance.emplace_back("configuration", "steps = 7\nmodel = resnet\n");
  return provenance;
}

/// True when Debian's Python with h5py is there; equal on all ranks.
inline bool has_h5py() {
  Index found = 0;
  if (world().is_root()) {
    found = std::system("/usr/bin/python3 -c 'import h5py' > /dev/null 2>&1") == 0 ? 1 : 0;
  }
  world().broadcast(found, 0);
  return found != 0;
}

/// Exit code of a script beside this file, run by rank 0; 0 on the other ranks.
inline int run_script(const std::string& name, const std::string& arguments) {
  if (!world().is_root()) return 0;
  const std::string script = std::string(DEEPPCR_TEST_SCRIPTS) + "/" + name;
  return std::system(("/usr/bin/python3 '" + script + "' " + arguments).c_str());
}

}  // namespace deeppcr::test
