//! The fork server's loop, as a library that its Python loads: what is done for each execution before its Python goes on.
//!
//! Not Python, for two reasons. The child is confined before any Python runs in it. And a page that a child writes to is
//! copied from the fork server's; in Python, each object that is so much as looked at is written to, since it counts its
//! references: this saves every execution some hundred pages, and the fork server's own after each fork.
//!
//! `build.rs` compiles this by itself and the binary embeds it; the guard hands it to Python in memory. It is linked with
//! nothing: what it calls is in whatever C library that Python runs on.
#![no_std]

mod linux;
mod process;
mod serve;

unsafe extern "C" {
    fn abort() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: takes nothing and does not return.
    unsafe { abort() }
}
