//! Starts the program; everything is in the library.

fn main() -> common::exit::ExitStatus {
    images::main()
}
