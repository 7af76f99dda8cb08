import { macosImage } from './macos.js'

export default macosImage('13', { called: 'ventura' })
