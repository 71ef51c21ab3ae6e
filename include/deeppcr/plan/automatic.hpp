#pragma once

namespace deeppcr::plan {

/// Puts `auto` into nonlinear::catalogue(): the solver that looks at the first steps of all chunks
/// and goes on by shooting, by Newton's method or step after step, whichever promises to be
/// fastest. Calling it again does nothing.
void add_automatic();

}  // namespace deeppcr::plan
