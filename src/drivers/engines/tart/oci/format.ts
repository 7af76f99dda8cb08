/** Types of blobs and names of annotations, as Tart 2.35 writes them; only what is named here is read or written. */
export const tartTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  config: 'application/vnd.cirruslabs.tart.config.v1',
  disk: 'application/vnd.cirruslabs.tart.disk.v2',
  overlay: 'application/vnd.cirruslabs.tart.disk.asif.overlay.v1',
  nvram: 'application/vnd.cirruslabs.tart.nvram.v1',
  oldDisk: 'application/vnd.cirruslabs.tart.disk.v1',
} as const

export const tartAnnotations = {
  uncompressedSize: 'org.cirruslabs.tart.uncompressed-size',
  uncompressedDigest: 'org.cirruslabs.tart.uncompressed-content-digest',
  diskSize: 'org.cirruslabs.tart.uncompressed-disk-size',
  uploadTime: 'org.cirruslabs.tart.upload-time',
  diskFormat: 'org.cirruslabs.tart.disk.format',
} as const

/** A disk is cut into pieces of this size; the last one is what is left. */
export const rangeBytes = 512 * 1024 ** 2
