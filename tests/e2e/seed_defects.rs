//! The source material's code had twenty-one defects, counted in the order of its review. Each has a
//! test here that fails where ours has it too.

mod answers;
mod issuing;
mod serving;
mod verifying;
