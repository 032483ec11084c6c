/// How this process holds the memory of its tensors.
#pragma once

namespace hone::kernels {

/// Keeps freed memory in the process for the next tensors, whatever their size.
///
/// By default the C library returns large blocks to the kernel as they are freed, and every step
/// pays for the pages of its logits and gradients again: 5 to 8 % of a training step on the CPU,
/// at the same peak memory (docs/kernels.md). Memory stays at its peak between steps, so call it in
/// a program that trains, before its first large tensor. For the whole process; no way back.
/// Returns false where the C library has no such setting.
bool keep_freed_memory();

}  // namespace hone::kernels
