use longshore_events::Events;
use longshore_image::Layout;
use longshore_snapshot::*;
use longshore_store::Store;
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let layout = Layout::open(std::path::Path::new("/tmp/bases/layout")).unwrap();
    let entry = layout.entries().unwrap().into_iter().find(|e| e.name.as_deref() == Some(&args[1])).unwrap();
    let image = layout.image(&entry.descriptor);
    let image = image.select(&"linux/amd64".parse().unwrap()).unwrap();
    let store = Store::open(std::path::Path::new(&args[2])).unwrap();
    let events = Events::silent();
    let t = Instant::now();
    let snaps = Snapshots::open(&store, Ownership::Root, args.get(3).is_none()).unwrap();
    println!("open {:?}", t.elapsed());
    let t = Instant::now();
    let base = snaps.base(&image).unwrap();
    println!("base {:?}", t.elapsed());
    let t = Instant::now();
    let view = base.view(&events).unwrap();
    println!("view {:?}", t.elapsed());
    let t = Instant::now();
    println!("{:?}", view.lookup("usr/local/go/bin/go".as_ref()).unwrap().map(|n| n.kind));
    println!("first lookup (index) {:?}", t.elapsed());
    let t = Instant::now();
    println!("{:?}", view.read_small("etc/passwd".as_ref(), 1 << 20).unwrap().map(|n| n.len()));
    println!("read_small {:?}", t.elapsed());
    let t = Instant::now();
    println!("{:?}", base.folders(&events).unwrap().len());
    println!("unpack {:?}", t.elapsed());
    let t = Instant::now();
    println!("{:?}", base.folders(&events).unwrap().len());
    println!("unpack again {:?}", t.elapsed());
    for i in 0..3 {
        let t = Instant::now();
        let mut draft = snaps.draft(&base).unwrap();
        let root = draft.root(&events).unwrap();
        let t1 = t.elapsed();
        drop(root);
        let id: SnapshotId = format!("{:032x}", std::process::id() as u64 * 10 + i).parse().unwrap();
        let t = Instant::now();
        let snap = draft.commit(&id).unwrap();
        println!("draft+root {:?} commit {:?}", t1, t.elapsed());
        let mut chain = base.clone();
        chain.push(snap);
        let t = Instant::now();
        let mut draft = snaps.draft(&chain).unwrap();
        let mut w = draft.writer(chain.view(&events).unwrap()).unwrap();
        w.create_folders("app/src".as_ref(), 0o755, 0, 0, (0, 0)).unwrap();
        w.file("app/src/x".as_ref(), &Metadata { mode: 0o644, ..Default::default() }, &mut &b"hello"[..])
            .unwrap();
        let t1 = t.elapsed();
        let t = Instant::now();
        let id: SnapshotId = format!("a{:032x}", std::process::id() as u64 * 10 + i).parse().unwrap();
        let snap = draft.commit(&id).unwrap();
        let t2 = t.elapsed();
        let t = Instant::now();
        let writer = store.writer().unwrap();
        let o = LayerOptions {
            timestamps: longshore_image::layer::Timestamps::Keep,
            format: Default::default(),
            compression: longshore_oci::media_type::Compression::Gzip,
        };
        snap.layer(&writer, &o, &events).unwrap();
        println!("writer {:?} commit {:?} layer {:?}", t1, t2, t.elapsed());
    }
    let t = Instant::now();
    let mut draft = snaps.draft(&base).unwrap();
    let mut w = draft.writer(base.view(&events).unwrap()).unwrap();
    for d in 0..200 {
        w.create_folders(format!("app/src/d{d}").as_ref(), 0o755, 0, 0, (0, 0)).unwrap();
        for f in 0..100 {
            w.file(
                format!("app/src/d{d}/f{f}").as_ref(),
                &Metadata { mode: 0o644, ..Default::default() },
                &mut &b"hello"[..],
            )
            .unwrap();
        }
    }
    let t1 = t.elapsed();
    let t = Instant::now();
    let id: SnapshotId = format!("b{:032x}", std::process::id() as u64).parse().unwrap();
    let snap = draft.commit(&id).unwrap();
    let t2 = t.elapsed();
    let mut chain = base.clone();
    chain.push(snap.clone());
    let t = Instant::now();
    let view = chain.view(&events).unwrap();
    let mut n = 0;
    for d in 0..200 {
        n += view.list(format!("app/src/d{d}").as_ref()).unwrap().len();
    }
    let t3 = t.elapsed();
    let t = Instant::now();
    let writer = store.writer().unwrap();
    let o = LayerOptions {
        timestamps: longshore_image::layer::Timestamps::Keep,
        format: Default::default(),
        compression: longshore_oci::media_type::Compression::Gzip,
    };
    snap.layer(&writer, &o, &events).unwrap();
    println!("20000 files: write {:?} commit {:?} list {n} {:?} layer {:?}", t1, t2, t3, t.elapsed());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().filter(|l| l.starts_with("VmHWM")).collect::<Vec<_>>().join(" "));
}
