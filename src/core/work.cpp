#include "deeppcr/core/work.hpp"

namespace deeppcr {

Work& work() {
  static Work of_this_rank;
  return of_this_rank;
}

}  // namespace deeppcr
