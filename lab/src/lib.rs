//! Experiments on process models and accept strategies.
