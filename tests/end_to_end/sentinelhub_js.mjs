// Asks a service by the unmodified npm package @sentinel-hub/sentinelhub-js, and prints what came as JSON.
// node sentinelhub_js.mjs PACKAGE_FOLDER REQUEST, where REQUEST is JSON: {url, token, bbox, from, to, width, height, evalscript}
import { pathToFileURL } from "node:url";

const [folder, text] = process.argv.slice(2);
const hub = await import(pathToFileURL(`${folder}/dist/sentinelHub.js`).href);
const ask = JSON.parse(text);

hub.setAuthToken(ask.token);
const layer = new hub.S2L1CLayer({ evalscript: ask.evalscript, maxCloudCoverPercent: 100 });
// Where the service is: the package knows the hosts of Sentinel Hub only, by collection.
layer.dataset = { ...layer.dataset, shServiceHostname: ask.url, catalogCollectionId: "sentinel-2-l1c" };

const bbox = new hub.BBox(hub.CRS_EPSG4326, ...ask.bbox);
const [fromTime, toTime] = [new Date(ask.from), new Date(ask.to)];
const uncached = { cache: { expiresIn: 0 } };

const image = await layer.getMap(
  { bbox, fromTime, toTime, width: ask.width, height: ask.height, format: hub.MimeTypes.PNG },
  hub.ApiType.PROCESSING,
  uncached,
);
const tiles = await layer.findTiles(bbox, fromTime, toTime, 10, 0, uncached);
const dates = await layer.findDatesUTC(bbox, fromTime, toTime, uncached);
const [west, south, east, north] = ask.bbox;
const geometry = {
  type: "Polygon",
  coordinates: [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
};
layer.evalscript = ask.statistics;
layer.updateLayerFromServiceIfNeeded = async () => {}; // asks a configuration service, which has the scripts of layers
const statistics = await layer.getStats(
  { geometry, fromTime, toTime, resolution: ask.resolution, bins: 4 },
  uncached,
  "STAPI",
);

process.stdout.write(
  JSON.stringify({
    image: Buffer.from(image).toString("base64"),
    tiles: tiles.tiles.map((tile) => ({ time: tile.sensingTime, cloud: tile.meta.cloudCoverPercent })),
    dates,
    statistics,
  }),
  () => process.exit(0), // its cache keeps a timer
);
