//! The stateless command line as a program of its own: nothing of mail is in it, so it starts sooner.

use letterlock_sop::HugePages;

#[global_allocator]
static ALLOCATOR: HugePages = HugePages;

fn main() {
    letterlock_sop::main()
}
