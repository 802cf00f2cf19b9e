//! Typed, safe wrappers of the Linux system calls that std and the crates lack.
