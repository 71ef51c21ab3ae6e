#include "io/trace_layout.hpp"

namespace deeppcr::io {

void write_layout(hdf5::File& file, const parallel::BlockLayout& layout) {
  std::vector<Index> first_steps, ranks;
  if (layout.is_contiguous()) {
    first_steps = layout.first_steps();
  } else {
    for (const parallel::OwnedRange& part : layout.ranges()) {
      first_steps.push_back(part.steps.first);
      ranks.push_back(layout.is_replicated() ? -1 : part.owner);
    }
    first_steps.push_back(layout.num_steps());
    file.write<Index>("/layout/rank", {static_cast<Index>(ranks.size())}, ranks.data(),
                      {"rank that holds each range, -1 for all", {"range"}, ""});
  }
  const std::string axis = layout.is_contiguous() ? "rank" : "range";
  file.write<Index>("/layout/first_step", {static_cast<Index>(first_steps.size())},
                    first_steps.data(),
                    {"first step of each " + axis + ", then the number of steps", {axis}, ""});
}

}  // namespace deeppcr::io
