/** Words for names of containers: ours are about light, weather, water and things made of glass. */
const words = (text: string): readonly string[] => text.trim().split(/\s+/);

export const adjectives = words(`
  amber ample azure balmy bold breezy bright brisk calm candid careful cheerful clear clever cloudless coastal cool
  coral cosy crisp curious daring dawning deft dewy eager early earnest even fair faithful fearless fine fluent fond
  frank fresh frosty gentle gilded glad gleaming golden graceful green hale handy hardy honest humble ivory jolly keen
  kind lasting level light limpid lively loyal lucid lunar mellow merry mild misty modest moonlit neat nimble noble
  northern open opal patient pearly placid plain playful polished proud pure quick quiet radiant rapid ready rosy
  sandy scarlet serene sharp shining silent silver simple sincere sleek smooth snowy solar solid spry stable starry
  steady still sturdy subtle sunny supple swift tidal tidy tranquil true trusty upbeat verdant vivid warm watchful
  wise witty woven young zesty
`);

export const nouns = words(`
  albatross alcove anchor anvil arbor archway atoll beacon birch bottle breeze bridge brook canopy canyon carafe cedar
  chalice channel chimney clipper cloud cobalt comet compass coral cove crane crater creek crystal current decanter delta
  dolphin dune eddy ember estuary falcon fern ferry fjord flask foam forge fountain frigate furnace galley garden gecko
  geyser glacier goblet grotto grove gull harbor harvest heron hollow horizon inlet island jetty juniper kayak kelp kiln
  kite lagoon lantern lark lens lighthouse lily lupin lynx magnolia maple marble marsh meadow mirror mooring moth
  oasis ocean orchard osprey otter oyster paddle panther pebble pelican pier pilot pine plateau pond porthole prairie
  prism puffin quarry quartz quay rapids raven reef reservoir ridge ripple river rook rudder sail sandpiper schooner
  shore sparrow spindle spire spring spruce starling steeple stream summit sundial swallow tern thicket thistle tide
  timber topaz torrent trellis tundra valley vase violet walnut wave wharf willow window wren yacht zenith
`);
