//! What the CPU of this machine can do, by cranelift's names of features.
//!
//! Guarantees that a feature counts as there only where the CPU or the kernel says so, or where
//! this very program was compiled to need it: one that nobody has heard of here is missing. Asks
//! nothing that a process may not ask everywhere, and opens no file.

/// Whether this CPU has a feature.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has(feature: &str) -> bool {
    use std::arch::is_x86_feature_detected as detected;
    match feature {
        "has_cmpxchg16b" => detected!("cmpxchg16b"),
        "has_sse3" => detected!("sse3"),
        "has_ssse3" => detected!("ssse3"),
        "has_sse41" => detected!("sse4.1"),
        "has_sse42" => detected!("sse4.2"),
        "has_popcnt" => detected!("popcnt"),
        "has_avx" => detected!("avx"),
        "has_avx2" => detected!("avx2"),
        "has_avx_vnni" => detected!("avxvnni"),
        "has_fma" => detected!("fma"),
        "has_bmi1" => detected!("bmi1"),
        "has_bmi2" => detected!("bmi2"),
        "has_lzcnt" => detected!("lzcnt"),
        "has_avx512bitalg" => detected!("avx512bitalg"),
        "has_avx512dq" => detected!("avx512dq"),
        "has_avx512f" => detected!("avx512f"),
        "has_avx512vl" => detected!("avx512vl"),
        "has_avx512vbmi" => detected!("avx512vbmi"),
        "has_avx512vnni" => detected!("avx512vnni"),
        _ => false,
    }
}

/// Whether this CPU has a feature.
#[cfg(target_arch = "aarch64")]
pub(crate) fn has(feature: &str) -> bool {
    use std::arch::is_aarch64_feature_detected as detected;
    match feature {
        "has_lse" => detected!("lse"),
        "has_pauth" => detected!("paca"),
        "has_fp16" => detected!("fp16"),
        "has_dotprod" => detected!("dotprod"),
        "has_i8mm" => detected!("i8mm"),
        // Hints, which older CPUs take for no operation.
        "use_bti" | "sign_return_address" | "sign_return_address_all" => true,
        _ => false,
    }
}

/// Whether this CPU has a feature: what this program itself was compiled to need, and what the
/// kernel says of all CPUs (riscv_hwprobe(2), since Linux 6.4; before that, nothing more).
#[cfg(target_arch = "riscv64")]
pub(crate) fn has(feature: &str) -> bool {
    /// Bits of `RISCV_HWPROBE_KEY_IMA_EXT_0` (asm/hwprobe.h).
    const BITS: &[(&str, u32)] = &[
        ("has_v", 2),
        ("has_zba", 3),
        ("has_zbb", 4),
        ("has_zbs", 5),
        ("has_zbc", 7),
        ("has_zbkb", 8),
        ("has_zvbb", 17),
        ("has_zfh", 27),
        ("has_zfhmin", 28),
        ("has_zvfh", 30),
        ("has_zfa", 32),
        ("has_zicond", 35),
        ("has_zcb", 44),
    ];
    match feature {
        "has_m" | "has_a" | "has_f" | "has_d" | "has_zicsr" | "has_zifencei" => true,
        "has_c" | "has_zca" | "has_zcd" => cfg!(target_feature = "c"),
        // `V` has vectors of 128 bits at least. How long they really are the kernel does not
        // say, so longer ones are missing.
        "has_zvl32b" | "has_zvl64b" | "has_zvl128b" => has("has_v"),
        _ => BITS
            .iter()
            .find(|(name, _)| *name == feature)
            .is_some_and(|(_, bit)| extensions() >> bit & 1 == 1),
    }
}

/// The extensions that the kernel says all CPUs have; none where it does not answer.
#[cfg(target_arch = "riscv64")]
fn extensions() -> u64 {
    /// `struct riscv_hwprobe`.
    #[repr(C)]
    struct Pair {
        key: i64,
        value: u64,
    }
    /// `__NR_riscv_hwprobe`, and `RISCV_HWPROBE_KEY_IMA_EXT_0`.
    const HWPROBE: libc::c_long = 258;
    const EXTENSIONS: i64 = 4;
    let mut pair = Pair { key: EXTENSIONS, value: 0 };
    let (none, all_cpus): (usize, *const libc::c_ulong) = (0, std::ptr::null());
    // SAFETY: one pair of this form, which the kernel reads and writes during the call; no set
    // of CPUs is given, which means all of them; and no flags.
    let result = unsafe { libc::syscall(HWPROBE, &raw mut pair, 1_usize, none, all_cpus, 0_u32) };
    // The kernel makes the key -1 where it does not know it.
    if result == 0 && pair.key == EXTENSIONS { pair.value } else { 0 }
}

/// Whether this CPU has a feature.
#[cfg(target_arch = "s390x")]
pub(crate) fn has(feature: &str) -> bool {
    use std::arch::is_s390x_feature_detected as detected;
    match feature {
        "has_mie3" => detected!("miscellaneous-extensions-3"),
        "has_mie4" => detected!("miscellaneous-extensions-4"),
        "has_vxrs_ext2" => detected!("vector-enhancements-2"),
        "has_vxrs_ext3" => detected!("vector-enhancements-3"),
        _ => false,
    }
}

/// Whether this CPU has a feature: code for it is interpreted, and asks for none.
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "s390x"
)))]
pub(crate) fn has(_feature: &str) -> bool {
    false
}

/// What this CPU lacks of what all code for its architecture asks for, and no part says: for
/// IBM Z that it is a z14 (its vectors and instructions).
pub(crate) fn lacks_of_baseline() -> impl Iterator<Item = &'static str> {
    #[cfg(target_arch = "s390x")]
    let asked = {
        use std::arch::is_s390x_feature_detected as detected;
        [
            ("vector-enhancements-1", detected!("vector-enhancements-1")),
            ("miscellaneous-extensions-2", detected!("miscellaneous-extensions-2")),
        ]
    };
    #[cfg(not(target_arch = "s390x"))]
    let asked: [(&str, bool); 0] = [];
    asked.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_feature_is_missing() {
        assert!(!has("has_something_new"));
        assert_eq!(lacks_of_baseline().next(), None);
    }
}
