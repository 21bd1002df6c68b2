// The scenes of the sources, in the forms in which scripts expect them: an array whose elements have a Date, with
// `orbits` and `tiles`, whose elements have strings.

// What hooks may leave out or sort: each element remembers where it was.
function collected(source, chosen) {
  const scenes = [];
  const listed = [];
  const origins = new MapOf();
  for (let i = 0; i < chosen.length; ++i) {
    const info = source.scenes[chosen[i]];
    const entry = parse(info.entry);
    const scene = { ...entry, date: new DateOf(info.date), idx: i };
    own(entry, "__idx", i);
    remember(origins, entry, i);
    remember(origins, scene, i);
    append(scenes, scene);
    append(listed, entry);
  }
  return { scenes, listed, origins };
}

// `scenes` of evaluatePixel and of updateOutputMetadata.
function scenesOf(source, chosen) {
  const { scenes, listed } = collected(source, chosen);
  const told = {};
  if (source.listed !== undefined) {
    own(scenes, source.listed, listed, false);
    own(told, source.listed, listed);
  }
  own(scenes, "toJSON", () => told, false);
  own(scenes, "scenes", scenes, false);
  return scenes;
}

function byKey(sources, made) {
  const result = {};
  for (let i = 0; i < sources.length; ++i) own(result, sources[i].key, made(sources[i], i));
  return result;
}

function allScenes(sources, chosen) {
  if (sources.length === 1) return scenesOf(sources[0], chosen[0]);
  return byKey(sources, (source, i) => scenesOf(source, chosen[i]));
}

function everything(source) {
  const all = [];
  for (let i = 0; i < source.scenes.length; ++i) append(all, i);
  return all;
}

// Where the scenes that a hook returned were before; each at most once.
function positions(returned, origins, hook) {
  if (!isArray(returned)) throw new ErrorOf(hook + " has to return the scenes that it keeps, as an array");
  const kept = [];
  const taken = new MapOf();
  for (let i = 0; i < returned.length; ++i) {
    const scene = returned[i];
    let position = placeOf(origins, scene);
    if (position === undefined && scene !== null && typeof scene === "object") {
      position = scene.__idx === undefined ? scene.idx : scene.__idx;
    }
    if (typeof position !== "number") throw new ErrorOf(hook + " returns a scene that it was not given");
    if (placeOf(taken, position) === undefined) append(kept, position);
    remember(taken, position, true);
  }
  return kept;
}

function period(source, collection) {
  if (source.from === undefined) return collection;
  own(collection, "from", new DateOf(source.from));
  own(collection, "to", new DateOf(source.to));
  return collection;
}

function preProcessed(sources, hook) {
  const made = [];
  const collections = byKey(sources, (source, i) => {
    append(made, collected(source, everything(source)));
    const scenes = source.listed === undefined ? {} : { [source.listed]: made[i].listed };
    return period(source, { scenes });
  });
  const single = sources.length === 1;
  const given = single ? collections[sources[0].key] : collections;
  const answer = hook(given);
  const returned = answer === undefined ? given : answer;
  const kept = [];
  for (let i = 0; i < sources.length; ++i) {
    const source = sources[i];
    const collection = single ? returned : returned[source.key];
    append(kept, source.listed === undefined
      ? everything(source)
      : positions(collection.scenes[source.listed], made[i].origins, "preProcessScenes"));
  }
  return kept;
}

// V1 and V2, and V3 scripts that were converted from them: `metadata` is JSON.
function filtered(sources, hook, metadata) {
  const kept = [];
  for (let i = 0; i < sources.length; ++i) {
    const { scenes, listed, origins } = collected(sources[i], everything(sources[i]));
    if (sources[i].listed !== undefined) own(scenes, sources[i].listed, listed, false);
    append(kept, positions(hook(scenes, period(sources[i], parse(metadata))), origins, "filterScenes"));
  }
  return kept;
}

// What updateOutput is told of the scenes: their dates.
function dated(sources, chosen) {
  const made = byKey(sources, (source, i) => ({ scenes: collected(source, chosen[i]).scenes }));
  return sources.length === 1 ? made[sources[0].key] : made;
}
