//! Lines are the source's, through everything that is put into a module.
