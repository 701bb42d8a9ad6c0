//! `./dev demo` works from any directory: what it installs, what it builds and where, and which files its arguments name.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fenqi::launcher::{self, Durability, Options};

use super::launcher::{Place, said};

/// A clone whose compiler says where it builds, and whose program says what it was told.
fn clone_below(place: &Path) -> PathBuf {
    let clone = place.join("a clone");
    let stubs = [
        ("bin/cc", ""),
        ("bin/cargo", "[ \"$1\" = --version ] && echo 'cargo 99.0.0' || echo \"built in $CARGO_TARGET_DIR\""),
        ("bin/node", "echo v20.0.0"),
        // As npm keeps silent about its errors when it is told to, and finds nothing to install in production unless it is told to.
        ("bin/npm", "case \"$*\" in *--silent*) ;; *--include=dev*) echo 'npm error network' >&2 ;; esac; exit 1"),
        ("target/release/fenqi", "printf '%s\\n' \"$@\""),
    ];
    for (path, script) in stubs {
        put_program(&clone.join(path), script);
    }
    for file in ["dev", "Cargo.toml"] {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(file), clone.join(file)).unwrap();
    }
    fs::create_dir_all(clone.join("web/assets")).unwrap();
    fs::create_dir_all(clone.join("web/dist")).unwrap();
    // What browsers load is newer than its sources.
    for file in ["build.mjs", "package-lock.json", "dist/assets.json"] {
        fs::write(clone.join("web").join(file), "").unwrap();
    }
    clone
}

fn put_program(path: &Path, script: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/usr/bin/env bash\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Types `demo` with the arguments, in a folder elsewhere, where the script is reached by a link.
fn demo(clone: &Path, elsewhere: &Path, arguments: &[&str]) -> Output {
    let path = format!("{}:{}", clone.join("bin").display(), std::env::var("PATH").unwrap());
    Command::new("bash")
        .arg("link")
        .arg("demo")
        .args(arguments)
        .current_dir(elsewhere)
        .env("PATH", path)
        .env("DATABASE_URL", "postgres://somebody@localhost/somewhere")
        .env("CARGO_TARGET_DIR", "/nowhere")
        .env("CARGO_BUILD_TARGET", "another-machine")
        .output()
        .unwrap()
}

#[test]
fn the_demo_is_built_in_its_clone_and_reads_the_callers_files() {
    let place = Place::new("dev");
    let home = place.0.canonicalize().unwrap();
    let (clone, elsewhere) = (clone_below(&home), home.join("else where"));
    fs::create_dir(&elsewhere).unwrap();
    symlink(clone.join("dev"), elsewhere.join("link")).unwrap();
    let done = demo(&clone, &elsewhere, &["--clients", "people", "--purchases=bought.csv", "--days", "4", "--fresh"]);
    let told = said(&done.stdout);
    let (clone_shown, elsewhere_shown) = (clone.display(), elsewhere.display());
    let expected = [
        format!("built in {clone_shown}/target"),
        "demo".to_owned(),
        "--clients".to_owned(),
        // Also one that is not there, so that its whole name is told.
        format!("{elsewhere_shown}/people"),
        format!("--purchases={elsewhere_shown}/bought.csv"),
        "--days".to_owned(),
        "4".to_owned(),
        "--fresh".to_owned(),
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{}", said(&done.stderr));
    let whole = demo(&clone, &elsewhere, &["--clients", "/a/file", "--purchases=/another"]);
    assert!(said(&whole.stdout).ends_with("demo\n--clients\n/a/file\n--purchases=/another"), "{}", said(&whole.stderr));

    fs::remove_file(clone.join("web/dist/assets.json")).unwrap();
    let failed = demo(&clone, &elsewhere, &[]);
    assert!(
        said(&failed.stderr).ends_with("installing the packages of web\nnpm error network"),
        "{}",
        said(&failed.stderr)
    );
    assert_eq!((failed.status.code(), said(&failed.stdout)), (Some(1), String::new()));

    // Root may write everywhere.
    if !is_root() {
        let target = clone.join("target");
        fs::set_permissions(&target, fs::Permissions::from_mode(0o555)).unwrap();
        let refused = demo(&clone, &elsewhere, &[]);
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
        let sentence = format!("dev: {clone_shown}/target belongs to another user; work as that one, or in a clone");
        assert!(said(&refused.stderr).contains(&sentence), "{}", said(&refused.stderr));
        assert_eq!(refused.status.code(), Some(1));
    }
}

/// What every Debian has, and `./dev demo` uses.
const EVERYWHERE: [&str; 12] =
    ["bash", "cut", "dirname", "env", "find", "head", "ln", "readlink", "sed", "sort", "tail", "true"];
/// Anybody but root.
const ORDINARY: u32 = 65_534;

/// Leaves of a machine what is everywhere; nothing of its PostgreSQL is found, and nothing is written among its settings.
fn strip(clone: &Path) {
    let path = std::env::var_os("PATH").unwrap();
    for program in EVERYWHERE {
        let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
        symlink(found.unwrap(), clone.join("bin").join(program)).unwrap();
    }
    for (program, script) in [("ls", "exit 2"), ("mkdir", ""), ("tee", "while read -r; do :; done")] {
        put_program(&clone.join("bin").join(program), script);
    }
    if is_root() {
        for place in ["", "bin", "target", "target/release", "web/dist"] {
            chown(clone.join(place), Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
    }
}

#[test]
fn without_postgresql_it_is_installed_or_said_what_to_type() {
    let place = Place::new("dev-install");
    let clone = clone_below(&place.0.canonicalize().unwrap());
    let (bin, asked) = (clone.join("bin"), clone.join("asked"));
    strip(&clone);
    let demo = |user: Option<u32>| {
        let mut command = Command::new(bin.join("bash"));
        command.arg(clone.join("dev")).arg("demo").current_dir(&clone).env_clear().env("PATH", &bin);
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let done = command.output().unwrap();
        (done.status.code(), said(&done.stdout), said(&done.stderr))
    };
    let ordinary = is_root().then_some(ORDINARY);
    let missing = |what_to_do: &str| (Some(1), String::new(), format!("dev: postgresql is missing; {what_to_do}"));
    assert_eq!(demo(ordinary), missing("install it with this system's package manager and try again"));

    let apt_get = format!(
        r#"printf '%s\n' "$*" >>'{asked}'
[ "$1" != install ] || ln -s bash '{bin}/initdb'"#,
        asked = asked.display(),
        bin = bin.display()
    );
    put_program(&bin.join("apt-get"), &apt_get);
    assert_eq!(demo(ordinary), missing("type as root: apt-get update && apt-get install -y postgresql"));
    // It would ask for a password.
    put_program(&bin.join("sudo"), "exit 1");
    assert_eq!(demo(ordinary), missing("type: sudo apt-get update && sudo apt-get install -y postgresql"));
    assert!(!asked.exists(), "nothing was installed");

    let installed =
        (Some(0), format!("built in {}/target\ndemo", clone.display()), "dev: installing postgresql".into());
    let packages = "update -qq\ninstall -y -qq --no-install-recommends postgresql\n";
    put_program(&bin.join("sudo"), "shift; exec \"$@\"");
    assert_eq!(demo(ordinary), installed);
    assert_eq!(fs::read_to_string(&asked).unwrap(), packages);
    if is_root() {
        for file in ["asked", "bin/initdb", "bin/sudo"] {
            fs::remove_file(clone.join(file)).unwrap();
        }
        assert_eq!(demo(None), installed);
        assert_eq!(fs::read_to_string(&asked).unwrap(), packages);
    }
}

/// Puts the real program and PostgreSQL into a clone, but for a psql that is killed after as many statements as `STATEMENTS` says.
fn with_postgres(clone: &Path) {
    let bin = std::env::var_os("FENQI_PG_BIN").map(PathBuf::from);
    let options = Options { home: clone.join("var/pg"), bin, durability: Durability::None };
    let psql = launcher::program(&options, "psql").unwrap();
    let (psql, bin) = (psql.display(), psql.parent().unwrap().display());
    let killed_psql = format!(
        r#"told=()
for argument in "$@"; do
    if [[ $argument == -c && $((STATEMENTS--)) -le 0 ]]; then
        '{psql}' "${{told[@]}}" </dev/null
        exit 137
    fi
    told+=("$argument")
done
exec '{psql}' "${{told[@]}}""#
    );
    put_program(&clone.join("bin/psql"), &killed_psql);
    let program = format!("FENQI_PG_BIN='{bin}' exec '{}' \"$@\"", env!("CARGO_BIN_EXE_fenqi"));
    put_program(&clone.join("target/debug/fenqi"), &program);
    put_program(&clone.join("bin/cargo-sqlx"), "sed -n 's/^sqlx_version=/sqlx-cli /p' dev");
    // As on a machine with little memory, so that the databases are still there the next time.
    put_program(&clone.join("bin/awk"), "echo 0");
}

#[test]
fn a_run_that_is_killed_while_it_empties_what_new_databases_begin_with_keeps_no_later_one_from_starting() {
    let place = Place::new("dev-template");
    let home = place.0.canonicalize().unwrap();
    let clone = clone_below(&home);
    with_postgres(&clone);
    let prepare = |statements: usize| {
        let bin = clone.join("bin");
        Command::new("bash")
            .arg(clone.join("dev"))
            .arg("prepare")
            .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
            .env("FENQI_PG_BIN", &bin)
            .env("STATEMENTS", statements.to_string())
            .output()
            .unwrap()
    };
    for statements in 0..20 {
        let done = prepare(statements);
        match done.status.code() {
            Some(137) => {}
            code => {
                assert_eq!(code, Some(0), "after {statements} statements: {}", said(&done.stderr));
                assert!(statements > 3, "it was killed {statements} times only");
                return;
            }
        }
    }
    panic!("it never came through");
}
