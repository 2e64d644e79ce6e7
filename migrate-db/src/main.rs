//! Starts the program; everything is in the library.

fn main() -> common::exit::ExitStatus {
    migrate_db::main()
}
