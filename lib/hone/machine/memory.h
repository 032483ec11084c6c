/// How this process holds the memory of its tensors.
#pragma once

namespace hone::machine {

/// Keeps the memory of freed tensors in the process for the next tensors, and never more of it than
/// tensors needed at once (page_pool.h).
///
/// By default the C library returns large blocks to the kernel as they are freed, and every step
/// pays for the pages of its logits and gradients again; told to keep them all, its heap falls into
/// pieces and grows to twice what is in use (docs/memory-plan.md). This replaces LibTorch's
/// allocator of CPU tensors for those of 256 KiB and more, and lends oneMKL the buffers of its
/// matrix products, which it otherwise keeps, of every size and thread. So call it in a program
/// that trains, before its first large tensor and matrix product. For the whole process; no way
/// back.
/// Returns false where there is no such means: it needs Linux, and AddressSanitizer needs its own.
bool keep_freed_memory();

/// Gives what keep_freed_memory() keeps and no tensor uses back to the system: after a run, when
/// the process goes on to something smaller.
void return_freed_memory();

}  // namespace hone::machine
